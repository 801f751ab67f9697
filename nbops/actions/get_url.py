"""`get_url`: a file from the web, fetched by the host itself."""

from __future__ import annotations

import hashlib
import posixpath
import re
from dataclasses import replace
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator

from nbops.actions import place
from nbops.actions.api import ActionContext, Result
from nbops.actions.attrs import OwnedArgs
from nbops.actions.clock import stopwatch
from nbops.actions.http import CURL, RequestArgs, Response, option, parts, read_response, request
from nbops.actions.outcome import failed, must
from nbops.actions.paths import LOOK, Answer, PathState
from nbops.actions.put import Found, make_folders, probe_script, read_found, rights_diff
from nbops.actions.values import Path, Plain
from nbops.base.command import LONG_DEADLINE, Outcome, quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import reveal
from nbops.runbook.spec import ActionSpec

_GOT = b"\0got\0"
_CHECKSUM = re.compile(r"(md5|sha1|sha224|sha256|sha384|sha512):\s*([0-9a-fA-F]+)\Z")


class GetUrlArgs(RequestArgs, OwnedArgs):
    """The arguments of `get_url`."""

    dest: Path = Field(description="Where it goes; a folder takes the name of the address.")
    timeout: int = Field(10, description="Seconds in which something must come.", ge=1)
    force: bool = Field(False, description="Fetch it also when it seems unchanged.")
    backup: bool = Field(False, description="Keep the content before beside it, with a date.")
    checksum: Plain = Field("", description="What it must be: `sha256:<hex digits>`.")

    @field_validator("checksum")
    @classmethod
    def _known(cls, value: str) -> str:
        if value and not _CHECKSUM.match(value):
            raise ValueError("write ALGORITHM:HEX (an address of a list of sums is not supported)")
        return value

    def expected(self) -> tuple[str, str]:
        """Algorithm and digits of the checksum; both empty when there is none."""
        match = _CHECKSUM.match(self.checksum)
        return (match[1], match[2].lower()) if match else ("", "")


def file_name(url: str) -> str:
    """The name that a file of this address gets."""
    return posixpath.basename(unquote(urlsplit(url).path)) or "index.html"


def look_script(args: GetUrlArgs) -> str:
    """Prints what is at the destination, and its checksum of the kind asked for."""
    algorithm, _ = args.expected()
    script = probe_script(args.dest, file_name(reveal(args.url)), 0, args.wanted(), follow=True)
    # Size 0 is any size here: the file may be compared whatever its size.
    script = script.replace('nb_sum "$f" 0\n', "nb_sum \"$f\" ''\n")
    kind = f"{algorithm}sum" if algorithm else ":"
    return f'{script}if [ -f "$f" ]; then {kind} < "$f"; fi; printf "\\0"\n'


def temporary(dest: str) -> str:
    """Where the file is downloaded to: beside the destination, so that it fits there."""
    name = hashlib.sha256(dest.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return posixpath.join(posixpath.dirname(dest), f".nbops-get-{name}")


def fetch_script(args: GetUrlArgs, found: Found) -> str:
    """Downloads, compares, and puts in place what differs.

    Prints curl's answer; when something came, also sha1, md5 and a verdict: `bad:` with the
    real checksum, `same` or `new`; then what stands there.
    """
    algorithm, digits = args.expected()
    path = place.plain_path(temporary(found.path))
    plan = place.plan(path, found.path, found.rights, found.existing, backup=args.backup)
    check = ""
    if algorithm:
        check = f'k=$({algorithm}sum < "$t"); k=${{k%% *}}; [ "$k" = {digits} ] || v=bad:$k\n'
    rights = found.rights.script(found.existing) if found.existing.exists else ""
    folder = posixpath.dirname(found.path)
    new = "" if found.parent else make_folders(folder, replace(found.rights, mode=None), None)
    before = (
        f'{CURL}{new}t={quote(path)}; nb_x=$t; rm -f -- "$t" || exit\n'
        "trap 'rm -f -- \"$t\"' EXIT\n"
        '(umask 077; set -C; : > "$t") || exit\n'
        'o=$(curl -q -K -; echo "$?"); printf \'%s\' "${o%?}"\n'
        "c=${o##*nbops }; c=${c%% *}; v=new; s=; m=\n"
        'case $c in 304) v=same;; 2??) s=$(sha1sum < "$t"); m=$(md5sum < "$t")\n'
        f'[ "${{s%% *}}" != "{found.existing.sha1}" ] || v=same\n{check};;\n*) exit 0;; esac\n'
        'printf \'\\0got\\0%s\\0%s\\0%s\\0\' "${s%% *}" "${m%% *}" "$v"\n'
        f"set -- {quote(found.path)}\n"
        f'case $v in bad:*) nb_look "$1"; exit;; same) set -e\n{rights}nb_look "$1"; exit;; esac\n'
    )
    return place.place_script([plan], before=before, after=found.rights.complain())


def config(args: GetUrlArgs, found: Found | None) -> str:
    """The request as a curl configuration; without `found`, the file goes to the output."""
    lines = [request(args), option("location")]
    if found is not None:
        lines.append(option("output", place.plain_path(temporary(found.path))))
        if found.existing.exists and not args.force and not args.checksum:
            since = formatdate(found.existing.mtime, usegmt=True)
            lines.append(option("header", f"If-Modified-Since: {since}"))
        return parts("".join(lines)).replace("include\n", 'dump-header = "-"\n')
    return parts("".join(lines))


class GetUrlAction:
    """Downloads a file to the host."""

    spec = ActionSpec(
        name="get_url",
        args=GetUrlArgs,
        summary="Download a file to the host.",
        example="- get_url:\n    url: https://example.com/tool.tar.gz\n    dest: /opt/tool.tar.gz\n"
        "    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n",
        returns={
            "dest": "The file.",
            "checksum_src": "sha1 of what came.",
            "checksum_dest": "sha1 of what was there.",
            "md5sum": "md5 of what came.",
            "status_code": "The answer's number.",
            "url": "The address in the end.",
            "elapsed": "Seconds it took.",
        },
    )

    def run(self, args: GetUrlArgs, ctx: ActionContext) -> Result:
        """Download when it differs; in check mode, say whether it does."""
        elapsed = stopwatch()
        probe = must(ctx.probe(look_script(args)), f"looking at {args.dest}")
        found = read_found(probe.stdout, args.wanted())
        present = probe.stdout.rstrip(b"\0").rpartition(b"\0")[2].split(b" ")[0].decode()
        _, digits = args.expected()
        values: dict[str, Any] = {"dest": found.path, "url": args.url}
        if found.target_is_dir or (not found.parent and not args.dest.endswith("/")):
            folder = posixpath.dirname(found.path)
            return failed(f"Destination {folder} does not exist", **values)
        if digits and not args.force and present == digits:
            state, changed = _rights(found, ctx)
            values |= {"elapsed": elapsed(), **state.attributes()}
            return Result(changed=changed, msg="file already exists", values=values)
        if ctx.check:
            return _check(args, found, values, ctx)
        outcome = ctx.act(
            fetch_script(args, found),
            stdin=config(args, found).encode("utf-8", "surrogateescape"),
            deadline=LONG_DEADLINE,
        )
        return _concluded(args, found, outcome, values | {"elapsed": elapsed()}, ctx)


def _check(args: GetUrlArgs, found: Found, values: dict[str, Any], ctx: ActionContext) -> Result:
    text = config(args, None).encode("utf-8", "surrogateescape")
    response = read_response(ctx.probe(f"{CURL}exec curl -q -K -\n", stdin=text))
    values |= {"status_code": response.status, "url": response.url or args.url}
    if not 200 <= response.status < 300:
        return _refused(response, values)
    real = hashlib.sha1(response.body, usedforsecurity=False).hexdigest()
    changed = real != found.existing.sha1 or bool(found.rights.changes(found.existing))
    values["checksum_dest"] = found.existing.sha1 or None
    return Result(changed=changed, msg=_ok(response), values=values)


def _rights(found: Found, ctx: ActionContext) -> tuple[PathState, bool]:
    lines = found.rights.script(found.existing)
    if lines and not ctx.check:
        script = f"set -e\nset -- {quote(found.path)}\n{lines}"
        must(ctx.act(script), f"setting the rights of {found.path}")
        now = ctx.probe(LOOK + f"nb_look {quote(found.path)}\n")
        return Answer(now.stdout).state(found.path), True
    return found.existing, bool(lines)


def _concluded(
    args: GetUrlArgs, found: Found, outcome: Outcome, values: dict[str, Any], ctx: ActionContext
) -> Result:
    head, got, rest = outcome.stdout.partition(_GOT)
    response = read_response(replace(outcome, stdout=head))
    values |= {"status_code": response.status, "url": response.url or args.url}
    if not got:
        return _refused(response, values)
    sha1, md5, verdict, rest = rest.split(b"\0", 3)
    values |= {"checksum_src": sha1.decode(), "md5sum": md5.decode()} if sha1 else {}
    if sha1:
        values |= {"checksum_dest": found.existing.sha1 or None, "src": temporary(found.path)}
    if verdict == b"new":
        plan = place.plan("", found.path, found.rights, found.existing)
        placed = place.read_placed(replace(outcome, stdout=rest), [plan])
        if isinstance(placed, place.Refused):
            raise ActionFailed("nothing was to be validated here")
        values |= placed[0].state.attributes()
        if placed[0].backup_file:
            values["backup_file"] = placed[0].backup_file
        return Result(changed=True, msg=_ok(response), values=values)
    must(outcome, f"fetching {found.path}")
    values |= Answer(rest).state(found.path).attributes()
    if verdict.startswith(b"bad:"):
        real = verdict.decode().removeprefix("bad:")
        wanted = args.expected()[1]
        message = f"The checksum for {found.path} did not match {wanted}; it was {real}."
        return failed(message, **values)
    changes = found.rights.changes(found.existing)
    told = "HTTP Error 304: Not Modified" if response.status == 304 else _ok(response)
    diff = rights_diff(found.path, changes, ctx)
    return Result(changed=bool(changes), msg=told, values=values, diff=diff)


def _ok(response: Response) -> str:
    return f"OK ({response.headers.get('content_length', 'unknown')} bytes)"


def _refused(response: Response, values: dict[str, Any]) -> Result:
    why = f"HTTP Error {response.status}: {response.reason}"
    if response.status == -1:
        why = response.reason
    return failed("Request failed", **values, response=why)
