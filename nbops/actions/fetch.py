"""`fetch`: a file of the host, brought here."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path as LocalPath

from pydantic import Field

from nbops.actions.api import ActionContext, Diff, Result
from nbops.actions.outcome import failed, must
from nbops.actions.paths import LOOK, SUM, Answer, PathState
from nbops.actions.put import shown
from nbops.actions.values import Path
from nbops.actions.words import expanded
from nbops.base.command import Effect
from nbops.base.errors import ActionFailed
from nbops.runbook.spec import ActionSpec, Args


class FetchArgs(Args):
    """The arguments of `fetch`."""

    src: Path = Field(description="The file on the host.")
    dest: Path = Field(description="The folder here: HOST/PATH is made below it.")
    flat: bool = Field(False, description="`dest` is the file (or its folder, with a slash).")
    fail_on_missing: bool = Field(True, description="Fail when the file is not there.")
    validate_checksum: bool = Field(True, description="Compare the checksums afterwards.")


def probe_script(src: str) -> str:
    """Prints the path, its record and its sha1."""
    return (
        f"{LOOK}{SUM}p={expanded(src)}\n"
        'if [ -L "$p" ] && [ -e "$p" ]; then f=$(readlink -fn -- "$p"; echo x); f=${f%x}; '
        'else f=$p; fi\nprintf \'%s\\0\' "$p"; nb_look "$f"; nb_sum "$f" \'\'\n'
    )


def destination(args: FetchArgs, source: str, host: str) -> LocalPath:
    """Where the file comes to lie here. Raises ActionFailed when `flat` names a folder."""
    dest = os.path.expanduser(os.path.expandvars(args.dest))  # noqa: PTH111 - as Ansible does
    if not args.flat:
        below = re.sub(r"\A(\.\./)+|\A/+", "", os.path.normpath("/" + source))
        return LocalPath(dest, host, below)
    if dest.endswith("/"):
        return LocalPath(dest, os.path.basename(source))  # noqa: PTH119 - a path of the host's
    if LocalPath(dest).is_dir():
        raise ActionFailed("dest is an existing directory, use a trailing slash if you want to "
                           "fetch src into that directory")  # fmt: skip
    return LocalPath(dest)


def write(path: LocalPath, content: bytes) -> None:
    """The content as a file here: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".nbops-", dir=path.parent)
    temporary = LocalPath(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    for line in LocalPath("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


class FetchAction:
    """Brings a file here."""

    spec = ActionSpec(
        name="fetch",
        args=FetchArgs,
        summary="Bring a file of the host here.",
        example="- fetch:\n    src: /var/log/nginx/error.log\n    dest: logs/\n",
        effect=Effect.NONE,
        check="skipped",
        returns={
            "dest": "The file here.",
            "checksum": "Its sha1.",
            "remote_checksum": "The sha1 on the host.",
            "md5sum": "Its md5.",
        },
    )

    def run(self, args: FetchArgs, ctx: ActionContext) -> Result:
        """Fetch it when it differs; nothing in check mode."""
        if ctx.check:
            return Result(skipped=True, msg="check mode not (yet) supported for this module")
        answer = Answer(must(ctx.probe(probe_script(args.src)), f"looking at {args.src}").stdout)
        source = answer.text()
        state = answer.summed(source)
        problem = _problem(state, args)
        if problem:
            return Result(failed=args.fail_on_missing, msg=problem, values={"file": args.src})
        target = destination(args, source, ctx.host)
        local = target.read_bytes() if target.is_file() else None
        values = {"dest": str(target), "file": args.src, "checksum": state.sha1}
        if (
            local is not None
            and hashlib.sha1(local, usedforsecurity=False).hexdigest() == state.sha1
        ):
            return Result(values={**values, "md5sum": _md5(local)})
        content = ctx.fetch(source)
        real = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        if args.validate_checksum and real != state.sha1:
            return failed("checksum mismatch", **values, remote_checksum=state.sha1)
        write(target, content)
        values |= {"checksum": real, "remote_checksum": state.sha1, "md5sum": _md5(content)}
        diff = Diff(shown(local or b""), shown(content), str(target), source) if ctx.diff else None
        return Result(changed=True, values={**values, "remote_md5sum": None}, diff=diff)


def _problem(state: PathState, args: FetchArgs) -> str:
    if not state.exists:
        return "the remote file does not exist, not transferring, ignored"
    ignored = "" if args.fail_on_missing else ", not transferring, ignored"
    if state.is_dir:
        return f"remote file is a directory, fetch cannot work on directories{ignored}"
    return "" if state.sha1 else f"file is not readable: {state.path}{ignored}"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
