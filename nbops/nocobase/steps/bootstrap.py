"""`nocobase_bootstrap`: what a bare host lacks to run the app."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE
from nbops.base.errors import ActionFailed
from nbops.nocobase import bootstrap
from nbops.nocobase.bootstrap import Look
from nbops.nocobase.plans import here
from nbops.runbook.spec import ActionSpec, NoArgs


class Bootstrap:
    """Installs Docker or Node.js where the inventory asks for it."""

    spec = ActionSpec(
        name="nocobase_bootstrap",
        args=NoArgs,
        summary="Install Docker with Compose, or Node.js, from the packages of Debian or Ubuntu,"
        " where they are missing and `runtime.bootstrap` says so.",
        example="- nocobase_bootstrap:\n",
        returns={"packages": "What was installed."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """What is there already is left as it is, whoever installed it."""
        node = here(ctx.vars)
        if not node.cluster.part("runtime").get("bootstrap"):
            return Result(skipped=True, msg="`runtime.bootstrap` is not set")
        kind, npm = node.runtime.kind, not node.plan.package
        seen = _look(ctx)
        missing = seen.lacks(kind, npm=npm)
        if not missing:
            return Result(values={"packages": []})
        if not seen.known:
            raise ActionFailed(
                f"{ctx.host} lacks {', '.join(missing)}, and is {seen.name}:"
                " packages are installed on Debian and Ubuntu only",
                hint="install them by hand, or take another host",
            )
        if ctx.check:
            return Result(changed=True, msg=f"would be installed: {', '.join(missing)}")
        chosen = _choose(missing, ctx)
        script = bootstrap.install_script(chosen, docker=kind == "compose")
        outcome = ctx.act(script, deadline=LONG_DEADLINE, idle=True)
        if not outcome.ok:
            raise ActionFailed(f"{ctx.host}: {_last_line(outcome.err)}")
        still = _look(ctx).lacks(kind, npm=npm)
        if still:
            raise ActionFailed(
                f"{ctx.host} has {', '.join(chosen)} now, and still lacks {', '.join(still)}"
            )
        return Result(changed=True, values={"packages": chosen})


def _look(ctx: ActionContext) -> Look:
    return bootstrap.read_look(ctx.probe(bootstrap.LOOK).out)


def _choose(missing: tuple[str, ...], ctx: ActionContext) -> list[str]:
    """The packages to install. Raises ActionFailed when the host's sources have none."""
    ctx.progress("asking for the packages that there are")
    updated = ctx.act(bootstrap.UPDATE, deadline=LONG_DEADLINE, idle=True)
    offered = bootstrap.read_candidates(ctx.probe(bootstrap.candidates_script()).out)
    chosen, unknown = bootstrap.packages(missing, offered)
    if not chosen and not unknown:
        unknown = [f"its package sources have no {', '.join(missing)}"]
    if unknown:
        raise ActionFailed(
            f"{ctx.host} cannot be prepared: {'; '.join(unknown)}",
            hint=None if updated.ok else f"`apt-get update` failed: {_last_line(updated.err)}",
        )
    ctx.progress(f"installing {', '.join(chosen)}")
    return chosen


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "apt-get says nothing"
