"""Actions that put a node's files and image in place; nothing is started by them."""

from __future__ import annotations

from pathlib import Path

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE, Effect, quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import reveal
from nbops.nocobase.files import different, diffs, put_script, stage
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import ImageState, Pull
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
        """Files that only root reads, replaced only when different."""
        node = here(ctx.vars)
        files = [file for plan in node.plans for file in node.runtime.files(plan)]
        changed = different(ctx, files)
        shown = diffs(ctx, changed)
        if changed and not ctx.check:
            outcome = ctx.act(f"set -e\n{_folders(node)}{put_script(stage(ctx, changed))}")
            if not outcome.ok:
                raise ActionFailed(
                    f"cannot write the configuration on {ctx.host}: {outcome.err.strip()}"
                )
        return Result(
            changed=bool(changed),
            values={"files": [file.path for file in changed]},
            diff=shown or None,
        )


def _folders(node: Here) -> str:
    folders = " ".join(quote(plan.folder) for plan in node.plans)
    made = f"install -d -m {node.runtime.folder_mode:o} {folders}\n"
    return made if node.shared_storage else f"{made}mkdir -p {quote(node.plan.storage)}\n"


class PullNode:
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
        aside = f"{ctx.stage(b'{}')}.login" if user else ""
        outcome = ctx.act(
            node.runtime.pull_script(node.plan, Pull(digest, user, _upload(node, ctx), aside)),
            stdin=reveal(login["password"]).encode() if user else None,
            deadline=LONG_DEADLINE,
            idle=True,
            watch=Progress(ctx).watch,
        )
        held = look(node, ctx) if outcome.ok else ImageState()
        if not held.there:
            raise ActionFailed(
                f"{ctx.host} cannot pull {node.plan.image}: {_last_line(outcome.err)}",
                hint="check `image`, `version` and `runtime.package` in the inventory, and that the"
                " host reaches the registry",
            )
        if digest and not held.is_digest(digest):
            raise ActionFailed(
                f"{ctx.host} pulled {held.digest} for {node.plan.image}, the release has {digest}"
            )
        return _result(node, held, changed=True)


def _upload(node: Here, ctx: ActionContext) -> str:
    """Sends the package that lies on this computer; gives its path on the host.

    Raises ActionFailed when it is not there.
    """
    if not node.plan.upload:
        return ""
    path = Path(str(ctx.vars.get("inventory_dir") or ".")) / Path(node.plan.upload).expanduser()
    if not path.is_file():
        raise ActionFailed(
            f"there is no package {path}",
            hint="`runtime.package.source` names the packed app of each version",
        )
    ctx.progress(f"sending {path.name}")
    return ctx.stage(path)


class Progress:
    """Says how far a pull is: the words of a script of nbops, or how many of an image's
    layers are there."""

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
            if layer == b"nbops":
                self._ctx.progress(word.decode(errors="replace"))
            if word.startswith((b"Pulling fs layer", b"Waiting", b"Already exists", b"Pull comp")):
                self._known.add(layer)
            if word.startswith((b"Already exists", b"Pull complete")):
                self._done.add(layer)
        if before != (len(self._done), len(self._known)):
            self._ctx.progress(f"{len(self._done)} of {len(self._known)} layers")


def look(node: Here, ctx: ActionContext) -> ImageState:
    """The image as the node holds it. Raises ActionFailed when the runtime does not answer."""
    outcome = ctx.probe(node.runtime.image_script(node.plan))
    if not outcome.ok:
        raise ActionFailed(
            f"{node.runtime.kind} does not answer on {ctx.host}: {_last_line(outcome.err)}",
            hint=f"on {ctx.host}: `systemctl status docker`"
            if node.runtime.kind == "compose"
            else "",
        )
    return node.runtime.read_image(outcome.out)


def _result(node: Here, held: ImageState, *, changed: bool) -> Result:
    known = {"reference": node.plan.image, "image": held.image, "digest": held.digest}
    return Result(changed=changed, values=known, facts={"nocobase_image": known})


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"
