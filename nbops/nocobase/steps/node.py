"""Actions that put a node's files and image in place; nothing is started by them."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE, Effect, quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import reveal
from nbops.nocobase.files import different, diffs, put_script, stage
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import ImageState
from nbops.runbook.spec import ActionSpec, NoArgs


class Configure:
    """Writes what the app is started with."""

    spec = ActionSpec(
        name="nocobase_configure",
        args=NoArgs,
        summary="Write the node's environment and compose file; start or stop nothing.",
        example="- nocobase_configure:\n",
        effect=Effect.FILE,
        returns={"files": "Paths of the files that were different."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Files of mode 0600 in a folder of mode 0700, replaced only when different."""
        node = here(ctx.vars)
        changed = different(ctx, node.runtime.files(node.plan))
        shown = diffs(ctx, changed)
        folders = f"install -d -m 700 {quote(node.plan.folder)}\n"
        if not node.shared_storage:
            folders += f"mkdir -p {quote(node.plan.storage)}\n"
        if changed and not ctx.check:
            outcome = ctx.act(f"set -e\n{folders}{put_script(stage(ctx, changed))}")
            if not outcome.ok:
                raise ActionFailed(
                    f"cannot write the configuration on {ctx.host}: {outcome.err.strip()}"
                )
        return Result(
            changed=bool(changed),
            values={"files": [file.path for file in changed]},
            diff=shown or None,
        )


class Pull:
    """Brings the image to the node."""

    spec = ActionSpec(
        name="nocobase_pull",
        args=NoArgs,
        summary="Bring the app's image to the node: exactly the recorded one, when there is one.",
        example="- nocobase_pull:\n",
        returns={"digest": "What names the image everywhere.", "image": "Its id on the node."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Pulls only what is not there. A tag may have moved since the release was made:
        the recorded digest says which image is meant."""
        node = here(ctx.vars)
        digest = node.recorded_digest
        held = look(node, ctx)
        if held.there and (not digest or held.is_digest(digest)):
            return _result(node, held, changed=False)
        if ctx.check:
            return Result(changed=True, msg=f"{node.plan.image} would be pulled")
        login = node.cluster.part("runtime").get("registry") or {}
        user = str(login.get("username") or "")
        outcome = ctx.act(
            node.runtime.pull_script(node.plan.image, digest, user),
            stdin=reveal(login["password"]).encode() if user else None,
            deadline=LONG_DEADLINE,
            idle=True,
            watch=Layers(ctx).watch,
        )
        held = look(node, ctx) if outcome.ok else ImageState()
        if not held.there:
            raise ActionFailed(
                f"{ctx.host} cannot pull {node.plan.image}: {_last_line(outcome.err)}",
                hint="check `image` and `version` in the inventory, and that the host reaches"
                " the registry",
            )
        if digest and not held.is_digest(digest):
            raise ActionFailed(
                f"{ctx.host} pulled {held.digest} for {node.plan.image}, the release has {digest}"
            )
        return _result(node, held, changed=True)


class Layers:
    """Says how many of an image's layers are there, from what a pull prints."""

    def __init__(self, ctx: ActionContext) -> None:
        self._ctx = ctx
        self._rest = b""
        self._known: set[bytes] = set()
        self._done: set[bytes] = set()

    def watch(self, output: bytes) -> None:
        """Take some more output."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        before = len(self._done), len(self._known)
        for line in lines:
            layer, _, word = line.partition(b": ")
            if word.startswith((b"Pulling fs layer", b"Waiting", b"Already exists", b"Pull comp")):
                self._known.add(layer)
            if word.startswith((b"Already exists", b"Pull complete")):
                self._done.add(layer)
        if before != (len(self._done), len(self._known)):
            self._ctx.progress(f"{len(self._done)} of {len(self._known)} layers")


def look(node: Here, ctx: ActionContext) -> ImageState:
    """The image as the node holds it. Raises ActionFailed when the runtime does not answer."""
    outcome = ctx.probe(node.runtime.image_script(node.plan.image))
    if not outcome.ok:
        raise ActionFailed(
            f"{node.runtime.kind} does not answer on {ctx.host}: {_last_line(outcome.err)}",
            hint=f"on {ctx.host}: `systemctl status docker`",
        )
    return node.runtime.read_image(outcome.out)


def _result(node: Here, held: ImageState, *, changed: bool) -> Result:
    known = {"reference": node.plan.image, "image": held.image, "digest": held.digest}
    return Result(changed=changed, values=known, facts={"nocobase_image": known})


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"
