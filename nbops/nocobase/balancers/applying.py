"""What balancers that have files share: putting them in place, and putting back what was there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nbops.actions.api import ActionContext, Diff
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.nocobase.balancers.api import BalancerState, read_stamp
from nbops.nocobase.files import Wanted, diffs, put_script, stage


def apply_files(
    ctx: ActionContext, server: str, changed: Sequence[Wanted], script: Callable[[str], str]
) -> None:
    """Put files in place by the script that `script` makes of the text that puts them.

    Raises ActionFailed with the server's own words when it refuses them; they are put back.
    """
    outcome = ctx.act(script(put_script(stage(ctx, changed))))
    if not outcome.ok:
        raise ActionFailed(
            f"{server} on {ctx.host} refuses its configuration, which was put back:"
            f" {outcome.err.strip()}",
            hint="look at `balancer:` in the inventory, and at what else this server does",
        )


def keep_script(paths: Sequence[str]) -> tuple[str, str, str]:
    """Three texts: keep what stands at `paths`, put it back, forget it."""
    keep, restore, forget = [], [], []
    for path in paths:
        now, old = quote(path), quote(f"{path}.nbops-old")
        keep.append(f"rm -f {old}; if [ -f {now} ]; then cp -p {now} {old}; fi")
        restore.append(f"    if [ -f {old} ]; then mv -f {old} {now}; else rm -f {now}; fi")
        forget.append(f"rm -f {old}")
    return "\n".join(keep), "\n".join(restore), "\n".join(forget)


def checked(put: str) -> str:
    """Runs the text that puts files, stopping at the first fault, and has `refuse` called then.
    (Left of `||`, a shell would go on after a fault.)"""
    return f"""\
set +e
(
{put})
written=$?
set -e
[ "$written" = 0 ] || refuse 'the files cannot be written'"""


def readable(ctx: ActionContext, changed: Sequence[Wanted]) -> tuple[Diff, ...]:
    """The differences in the files that people may read: nothing of a private key."""
    return diffs(ctx, [file for file in changed if not isinstance(file.content, Secret)])


def state_of(output: str) -> BalancerState:
    """What a state script printed: `key value` lines."""
    said = dict(line.partition(" ")[::2] for line in output.splitlines())
    told = read_stamp(said.get("stamp", ""))
    return BalancerState(
        running=said.get("running") == "yes",
        maintenance=said.get("maintenance") == "yes",
        digest=said.get("digest", ""),
        nodes=_words(told, "nodes"),
        drained=_words(told, "drained"),
        details=said,
    )


def _words(told: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = told.get(key)
    return tuple(str(one) for one in found) if isinstance(found, list) else ()
