"""`nocobase_log`: the app's log, kept on its node before the app goes."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.nocobase.cluster import STATE_FOLDER
from nbops.nocobase.plans import here
from nbops.nocobase.steps.start import node_state
from nbops.nocobase.steps.wait import telling
from nbops.runbook.spec import ActionSpec, NoArgs

_SHOWN = 12


class KeepLog:
    """Keeps what an app wrote since it was started, and shows the end of it."""

    spec = ActionSpec(
        name="nocobase_log",
        args=NoArgs,
        summary="Keep the log of the node's apps in a file of root's on the node.",
        example="- nocobase_log:\n",
        check="says where it would be kept",
        returns={"files": "Where it is kept.", "lines": "The last lines that tell something."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """An app that was never started has none."""
        node = here(ctx.vars)
        folder = f"{STATE_FOLDER}/{node.cluster.name}/logs/{ctx.vars.get('nbops_run', '')}"
        files: list[str] = []
        lines: list[str] = []
        for _, plan in node.apps():
            state = node_state(node, ctx, plan)
            if not state.there:
                continue
            path = f"{folder}/{plan.name}.log"
            files.append(path)
            log = node.runtime.log_script(plan, 0, state.since).rstrip()
            if not ctx.check:
                script = (
                    f"umask 077; mkdir -p {quote(folder)} || exit\n{{ {log}\n}} >{quote(path)}.part"
                    f" && mv -f {quote(path)}.part {quote(path)} && tail -n 60 {quote(path)}\n"
                )
                outcome = ctx.act(script)
                if not outcome.ok:
                    raise ActionFailed(f"the log cannot be kept: {outcome.err.strip()}")
                lines += telling(outcome.out.splitlines())[-_SHOWN:]
        return Result(
            changed=bool(files),
            msg=f"kept in {', '.join(files)}" if files else "",
            values={"files": files, "lines": lines},
        )
