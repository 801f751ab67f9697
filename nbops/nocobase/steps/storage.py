"""`nocobase_prove_storage`: that a file which one node writes is there for the others."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.base.errors import ActionFailed
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.storage import clear_script, find_script, mark_script, storage_path
from nbops.runbook.spec import ActionSpec, Args

_HINT = "mount the same network folder on every node (NFS, a shared cloud disk)"


class StorageArgs(Args):
    """The arguments of `nocobase_prove_storage`."""

    step: Literal["mark", "find", "clear"] = Field(
        description="`mark` leaves a small file in the node's storage, `find` looks for those of"
        " all nodes of the play, `clear` takes this node's away."
    )


class ProveStorage:
    """Three steps, so that every node has left its mark before one looks for it."""

    spec = ActionSpec(
        name="nocobase_prove_storage",
        args=StorageArgs,
        free_form="step",
        summary="Prove that the play's nodes share their storage: each writes, each reads what"
        " the others wrote, and nothing is left.",
        example="- block:\n    - nocobase_prove_storage: mark\n    - nocobase_prove_storage: find\n"
        "  always:\n    - nocobase_prove_storage: clear\n",
        effect=Effect.NONE,
        check="the same, as it leaves nothing behind",
        returns={"missing": "`find`: the hosts whose marks are not seen here."},
    )

    def run(self, args: StorageArgs, ctx: ActionContext) -> Result:
        """Skipped where nothing is to be shared: one node, or another kind of storage."""
        cluster = cluster_of(ctx.vars)
        nodes = [node.host for node in cluster.nodes if node.host in ctx.hosts]
        if len(nodes) < 2 or cluster.part("storage").get("kind") != "shared":
            return Result(skipped=True)
        folder, run, me = storage_path(cluster.me), str(ctx.vars["nbops_run"]), cluster.me.host
        match args.step:
            case "mark":
                litter = f"{ctx.stage(b'').rpartition('/')[0]}/litter"
                script = mark_script(folder, run, me, litter)
            case "find":
                script = find_script(folder, run, nodes)
            case "clear":
                script = clear_script(folder, run, me)
        # A run that goes on does not look for marks that were taken away before it was killed.
        changes = args.step != "find" and not ctx.check
        outcome = ctx.act(script) if changes else ctx.probe(script)
        if not outcome.ok:
            raise ActionFailed(
                f"the shared storage {folder} cannot be used on {ctx.host}: {outcome.err.strip()}",
                hint=_HINT,
            )
        missing = outcome.out.splitlines() if args.step == "find" else []
        if missing:
            raise ActionFailed(
                f"{ctx.host} does not see in {folder} what {', '.join(missing)} wrote there:"
                " it is not one folder for all nodes",
                hint=_HINT,
            )
        return Result(values={"missing": missing})
