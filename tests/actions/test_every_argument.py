"""Every textual argument of every action: any text arrives on the host as it is, or is refused.

The arguments are taken from the registry: a new one without a way here fails a test.
"""

from __future__ import annotations

import re
import socket
import threading
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nbops.actions.builtin import BUILTIN
from nbops.actions.http import option
from nbops.actions.registry import Registry
from nbops.base.errors import ActionFailed
from tests.actions.conftest import LocalContext, do

ACTIONS = Registry(BUILTIN)
# A leading `~` and `$NAME` of a set variable are replaced in paths, as ansible-core does.
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/$"), min_size=1, max_size=20
).filter(lambda name: len(name.encode()) < 200)
many = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))

# Programs that the actions call; they write down what they are given. `id` and `getent` know
# everybody, but no account by the name of `who`.
_STUB = """#!/bin/sh
printf '%s\\0' "${0##*/}" "$@" >> "$RECORD"
case ${0##*/} in
id) echo 0;;
getent) case $1 in group) echo g:x:7:;; *) exit 2;; esac;;
systemctl) case $* in *show*) echo LoadState=loaded;; esac;;
date) echo 1;;
chpasswd) cat >> "$RECORD";;
esac
exit 0
"""
_PROGRAMS = ("apt-get", "chpasswd", "dpkg-query", "getent", "id", "systemctl", "useradd", "usermod")


def recorded(ctx: LocalContext, action: str, **arguments: object) -> list[str]:
    """The words that programs were given when the action ran."""
    stubs, record = ctx.staging / "stubs", ctx.staging / "record"
    stubs.mkdir(exist_ok=True)
    for name in _PROGRAMS:
        (stubs / name).write_text(_STUB)
        (stubs / name).chmod(0o755)
    record.write_bytes(b"")
    ctx.env = {"PATH": f"{stubs}:/usr/sbin:/usr/bin:/sbin:/bin", "RECORD": str(record)}
    try:
        do(ACTIONS.action(action), ctx, **arguments)
    except ActionFailed:
        pass  # the stubs do nothing, so what should be there afterwards is not
    finally:
        ctx.env = {}
    return record.read_bytes().decode("utf-8", "surrogateescape").split("\0")


def word(action: str, argument: str, **others: object) -> Callable[[LocalContext, Path, str], bool]:
    """Whether the text is one of the words that a program was given."""

    def arrives(ctx: LocalContext, box: Path, text: str) -> bool:
        text = f"n{text}"  # digits alone are a number
        given: object = [text] if argument == "groups" else text
        placed = {key: str(value).replace("@", str(box)) for key, value in others.items()}
        return text in recorded(ctx, action, **placed, **{argument: given})

    return arrives


def made(action: str, argument: str, **others: object) -> Callable[[LocalContext, Path, str], bool]:
    """Whether the file that the argument names is there (`@`: the folder)."""

    def arrives(ctx: LocalContext, box: Path, text: str) -> bool:
        name = f"n{text}"
        placed = {
            key: value.replace("@", str(box)) if isinstance(value, str) else value
            for key, value in others.items()
        }
        result = do(ACTIONS.action(action), ctx, **placed, **{argument: f"{box}/{name}"})
        return not result.failed and (box / name).exists()

    return arrives


def seen(
    action: str, argument: str, key: str, **others: object
) -> Callable[[LocalContext, Path, str], bool]:
    """Whether a file of this name, which is there, is what the action speaks of under a key."""

    def arrives(ctx: LocalContext, box: Path, text: str) -> bool:
        path = box / f"n{text}"
        path.write_text("content\n")
        placed = {
            name: value.replace("@", str(box)) if isinstance(value, str) else value
            for name, value in others.items()
        }
        result = do(ACTIONS.action(action), ctx, **placed, **{argument: str(path)})
        found = dict(result.values)
        return not result.failed and found.get(key, found.get("stat", {}).get(key)) == str(path)

    return arrives


def says(action: str, argument: str, **others: object) -> Callable[[LocalContext, Path, str], bool]:
    """Whether a program prints the text; `@` in the other arguments is the folder."""

    def arrives(ctx: LocalContext, box: Path, text: str) -> bool:
        folder = box / f"n{text}"
        folder.mkdir()
        result = do(ACTIONS.action(action), ctx, **others, **{argument: str(folder)})
        return str(result.values["stdout"]).removesuffix("|").removesuffix("\n") == f"{folder}"

    return arrives


def condition(action: str, argument: str, **others: object) -> Callable[..., bool]:
    """Whether `creates` and `removes` find just this file."""

    def arrives(ctx: LocalContext, box: Path, text: str) -> bool:
        # Brackets and stars are patterns for `command` and `shell`, as under Ansible.
        name = re.sub(r"[*?\[]", "_", f"n{text}")
        (ctx.runbook / "ran.sh").write_text("#!/bin/sh\necho ran\n")
        run = {"url": asked.address} if action == "uri" else others
        for there in (False, True):
            if there:
                (box / name).touch()
            result = do(ACTIONS.action(action), ctx, **run, **{argument: f"{box}/{name}"})
            needless = there == (argument == "creates")
            spared = result.skipped or "skipped, since" in str(result.values.get("stdout", ""))
            if spared != needless:
                return False
        return True

    return arrives


class Asked:
    """A server that keeps what it was asked last, byte by byte."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self.last = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.last = connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        """End it. First the thread: it may wait for a number that another socket has next."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()


asked = Asked()


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    yield
    asked.close()


def sent(action: str, argument: str, header: str = "") -> Callable[..., bool]:
    """Whether the text stands in what a web server is asked."""

    def arrives(ctx: LocalContext, box: Path, text: str) -> bool:
        plain = re.sub(r"[\x00-\x20\x7f-\xa0:]", "_", text)
        given: Any = plain
        if argument == "headers":
            given = {"X-A": f"a{plain}z"}
        arguments: dict[str, Any] = {"url": asked.address, argument: given}
        if action == "get_url":
            arguments["dest"] = f"{box}/got"
        if argument == "url_password":
            arguments["url_username"] = "u"
        if argument == "body":
            arguments |= {"method": "POST", argument: text}
        do(ACTIONS.action(action), ctx, **arguments)
        if argument.startswith("url_"):
            config = "".join(str(getattr(one, "reveal", lambda: "")()) for one in ctx.probes)
            return config == "" and b"Authorization: Basic " in asked.last
        wanted = f"{header}{given['X-A'] if argument == 'headers' else arguments[argument]}"
        wanted = wanted.upper() if argument == "method" else wanted
        return wanted.encode() in asked.last

    return arrives


def configured(name: str) -> Callable[..., bool]:
    """Whether curl is configured with it: what `option` writes is tested with `http_agent`."""

    def arrives(ctx: LocalContext, box: Path, text: str) -> bool:
        kept: list[bytes] = []
        real = ctx._run

        def keep(script: Any, **options: Any) -> Any:
            kept.append(options.get("stdin") or b"")
            return real(script, **options)

        ctx._run = keep  # type: ignore[method-assign]
        try:
            do(ACTIONS.action("uri"), ctx, url=asked.address, **{name: f"/n{text}"})
        finally:
            del ctx._run
        wire = {"ca_path": "cacert", "client_cert": "cert", "client_key": "key"}
        line = option(wire.get(name, name.replace("_", "-")), f"/n{text}").encode()
        return any(line in one for one in kept)

    return arrives


def wrote(ctx: LocalContext, box: Path, text: str) -> bool:
    """A validation command's words."""
    for action, others in (
        ("copy", {"content": "x"}),
        ("lineinfile", {"line": "x", "create": True}),
    ):
        (box / f"{action}-n{text}").touch()
        quoted = "'" + f"{box}/{action}-n{text}".replace("%", "%%").replace("'", "'\\''") + "'"
        (box / "f").unlink(missing_ok=True)
        result = do(
            ACTIONS.action(action), ctx, dest=f"{box}/f",
            validate=f"sh -c 'test -e \"$2\"' sh %s {quoted}", **others,
        )  # fmt: skip
        if result.failed:
            return False
    return True


def patterns(ctx: LocalContext, box: Path, text: str) -> bool:
    """`regexp` and its kin find the text itself, when it is escaped."""
    line = text.replace("\n", " ").replace("\r", " ")
    escaped = re.escape(line)
    for arguments in (
        {"regexp": f"^{escaped}$"}, {"search_string": line or "x"},
        {"insertafter": f"^{escaped}$"}, {"insertbefore": f"^{escaped}$"},
    ):  # fmt: skip
        (box / "f").write_bytes(f"a\nxx{line}\n{line}\nb\n".encode())
        do(ACTIONS.action("lineinfile"), ctx, path=f"{box}/f", line="\x02new", **arguments)
        if b"\x02new\n" not in (box / "f").read_bytes():
            return False
    return True


def lines_through(ctx: LocalContext, box: Path, text: str) -> bool:
    """`search_regex` of a file."""
    (box / "f").write_bytes(text.encode())
    arguments = {"path": f"{box}/f", "search_regex": re.escape(text), "timeout": 0}
    return not do(ACTIONS.action("wait_for"), ctx, **arguments).failed


def fetched(ctx: LocalContext, box: Path, text: str) -> bool:
    """A file there becomes a file here, under both names."""
    (box / f"n{text}").write_text(text)
    do(ACTIONS.action("fetch"), ctx, src=f"{box}/n{text}", dest=f"{ctx.home}/m{text}", flat=True)
    return Path(f"{ctx.home}/m{text}").read_text() == (box / f"n{text}").read_text()


def copied(ctx: LocalContext, box: Path, text: str) -> bool:
    """A file here, by its name, and one there."""
    (ctx.runbook / f"n{text}").write_text("x")
    do(ACTIONS.action("copy"), ctx, src=f"n{text}", dest=f"{box}/")
    there = f"{box}/n{text}"
    do(ACTIONS.action("copy"), ctx, src=there, dest=f"{box}/other", remote_src=True)
    return Path(there).read_text() == (box / "other").read_text() == "x"


def templated(ctx: LocalContext, box: Path, text: str) -> bool:
    """A template here, by its name."""
    (ctx.runbook / f"n{text}").write_text("x")
    do(ACTIONS.action("template"), ctx, src=f"n{text}", dest=f"{box}/")
    return (box / f"n{text}").read_text() == "x"


def linked(ctx: LocalContext, box: Path, text: str) -> bool:
    """What a link points to."""
    do(ACTIONS.action("file"), ctx, path=f"{box}/l", src=f"n{text}", state="link", force=True)
    return (box / "l").readlink() == Path(f"n{text}")


def through_host(ctx: LocalContext, box: Path, text: str) -> bool:
    """The name of a machine: it is a word, so nothing is run."""
    result = do(ACTIONS.action("wait_for"), ctx, host=f"n{text}", port=9, timeout=0)
    return bool(result.failed)


Way = Callable[[LocalContext, Path, str], bool]

WAYS: dict[str, Way] = {
    **{f"{name}.{kind}": condition(name, kind, cmd="echo ran" if name != "script" else "ran.sh")
       for name in ("command", "shell", "script", "uri") for kind in ("creates", "removes")},
    "command.chdir": says("command", "chdir", argv=["sh", "-c", "pwd -P; printf '|'"]),
    "shell.chdir": says("shell", "chdir", cmd="pwd -P; printf '|'"),
    "script.chdir": lambda ctx, box, text: (
        (ctx.runbook / "pwd.sh").write_text("#!/bin/sh\npwd -P; printf '|'\n") > 0
        and says("script", "chdir", cmd="pwd.sh")(ctx, box, text)
    ),
    **{f"{name}.owner": word(name, "owner", dest="@/f", **more) for name, more in (
        ("copy", {"content": "x"}), ("file", {"state": "touch"}),
        ("lineinfile", {"line": "x", "create": True}), ("get_url", {"url": "http://127.0.0.1:9/"}))},
    **{f"{name}.group": word(name, "group", dest="@/f", **more) for name, more in (
        ("copy", {"content": "x"}), ("file", {"state": "touch"}),
        ("lineinfile", {"line": "x", "create": True}), ("get_url", {"url": "http://127.0.0.1:9/"}))},
    "copy.dest": made("copy", "dest", content="x"),
    "copy.src": copied,
    "copy.validate_with": wrote,
    "lineinfile.validate_with": wrote,
    "file.path": made("file", "path", state="touch"),
    "file.src": linked,
    "lineinfile.path": made("lineinfile", "path", line="x", create=True),
    "lineinfile.regexp": patterns,
    "lineinfile.search_string": patterns,
    "lineinfile.insertafter": patterns,
    "lineinfile.insertbefore": patterns,
    "fetch.src": fetched,
    "fetch.dest": fetched,
    "slurp.src": seen("slurp", "src", "source"),
    "stat.path": seen("stat", "path", "path"),
    "wait_for.path": seen("wait_for", "path", "path", timeout=0),
    "wait_for.search_regex": lines_through,
    "wait_for.host": through_host,
    "template.src": templated,
    "get_url.dest": made("get_url", "dest", url=asked.address),
    "service.name": word("service", "name", state="started"),
    "systemd.name": word("systemd", "name", state="started"),
    "user.group": word("user", "group", name="who"),
    "user.groups": word("user", "groups", name="who"),
    "user.comment": word("user", "comment", name="who"),
    "user.shell": word("user", "shell", name="who"),
    "user.home": word("user", "home", name="who"),
    "user.password": lambda ctx, box, text: any(  # noqa: ARG005
        f"who:{text}\n" in one for one in recorded(ctx, "user", name="who", password=text)
    ),
    "apt.default_release": word("apt", "default_release", name="nothing-of-this-name"),
    "apt.dpkg_options": lambda ctx, box, text: (  # noqa: ARG005
        f"Dpkg::Options::=--{text.replace(',', '_')}"
        in recorded(ctx, "apt", name="none", dpkg_options=text.replace(",", "_"))
    ),
    "uri.method": sent("uri", "method"),
    "uri.body": sent("uri", "body"),
    **{f"{name}.headers": sent(name, "headers", "X-A: ") for name in ("uri", "get_url")},
    **{f"{name}.http_agent": sent(name, "http_agent", "User-Agent: ")
       for name in ("uri", "get_url")},
    **{f"{name}.{kind}": sent(name, kind)
       for name in ("uri", "get_url") for kind in ("url_username", "url_password")},
    **{f"uri.{name}": configured(name)
       for name in ("ca_path", "client_cert", "client_key", "unix_socket")},
    **{f"get_url.{name}": configured(name) for name in ("ca_path", "client_cert", "client_key")},
}  # fmt: skip

# Tested with any text in test_quoting.py.
ELSEWHERE = {
    "command.argv", "command.cmd", "command.stdin", "copy.content", "debug.msg", "lineinfile.line",
    "ping.data", "raw.cmd", "raw.executable", "script.cmd", "shell.cmd", "shell.stdin",
}  # fmt: skip
# The same model and the same code as `copy`, whose ways stand above.
AS_COPY = {"template.dest", "template.group", "template.owner", "template.validate_with"}
# Never sent to a host.
HERE = {
    "assert.fail_msg", "assert.success_msg", "assert.that", "debug.var", "fail.msg",
    "include_tasks.file", "pause.prompt", "setup.filter", "setup.gather_subset",
    "template.block_end_string", "template.block_start_string", "template.comment_end_string",
    "template.comment_start_string", "template.output_encoding", "template.variable_end_string",
    "template.variable_start_string", "wait_for.msg", "copy.checksum",
}  # fmt: skip
# The program that reads a text: a path for `shell`, words of a line for `script`, as Ansible's.
PROGRAMS = {"shell.executable", "script.executable"}
# Only a narrow form is let in; anything else is refused before a host hears of it.
NARROW: dict[str, dict[str, object]] = {
    "apt.name": {},
    "copy.directory_mode": {"content": "x", "dest": "/x"},
    "copy.mode": {"content": "x", "dest": "/x"},
    "file.access_time": {"path": "/x", "state": "touch"},
    "file.access_time_format": {"path": "/x", "state": "touch", "access_time": "2020"},
    "file.mode": {"path": "/x"},
    "file.modification_time": {"path": "/x", "state": "touch"},
    "file.modification_time_format": {"path": "/x", "state": "touch", "modification_time": "2020"},
    "get_url.checksum": {"url": "http://x/", "dest": "/x"},
    "get_url.mode": {"url": "http://x/", "dest": "/x"},
    "get_url.url": {"dest": "/x"},
    "lineinfile.mode": {"path": "/x", "line": "x"},
    "package.name": {},
    "template.mode": {"src": "x", "dest": "/x"},
    "uri.url": {},
    "user.name": {},
}
HOSTILE = ("a; touch x", "$(touch x)", "`touch x`", "a'b\"c d", "a\ntouch x", "--help x y")


def textual(annotation: Any) -> bool:
    """Whether a value of this type can hold any text."""
    if annotation is str or annotation is Any or getattr(annotation, "__name__", "") == "Secret":
        return True
    if typing.get_origin(annotation) is Literal:
        return False
    return any(textual(one) for one in typing.get_args(annotation))


def arguments() -> set[str]:
    """Every textual argument of every action."""
    return {
        f"{spec.name}.{name}"
        for spec in ACTIONS
        if spec.name.split("_")[0] not in {"nocobase", "balancer", "database", "redis"}
        for name, field in spec.args.model_fields.items()
        if textual(field.annotation)
    }


def test_every_textual_argument_has_a_way_here() -> None:
    known = {*WAYS, *ELSEWHERE, *AS_COPY, *HERE, *PROGRAMS, *NARROW}
    assert arguments() - known == set()
    assert known - arguments() == set(), "an argument that is gone"


@pytest.mark.parametrize("way", sorted(WAYS))
@many
@given(text=NAMES)
def test_any_text_arrives_by(ctx: LocalContext, box: Path, way: str, text: str) -> None:
    for one in sorted(box.rglob("*"), reverse=True):
        one.rmdir() if one.is_dir() and not one.is_symlink() else one.unlink()
    assert WAYS[way](ctx, box, text)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("argument", sorted(NARROW))
def test_what_is_no_such_thing_is_refused(argument: str, text: str) -> None:
    action, _, name = argument.partition(".")
    with pytest.raises((ValidationError, ActionFailed)):
        args = ACTIONS.action(action).spec.args.model_validate({**NARROW[argument], name: text})
        if action == "package":
            ACTIONS.action("apt").spec.args.model_validate({"name": args.name})
