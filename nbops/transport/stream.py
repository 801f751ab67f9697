"""One long-lived `sh` on a host, for one identity: requests in, answers out.

A `Wire` carries the bytes, whatever it is made of; a `Link` opens wires to one host.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nbops.base.command import Identity, quote
from nbops.base.errors import ActionFailed, HostFault, HostUnusable, UsageError
from nbops.base.retry import Deadline, Stop
from nbops.base.secret import Secret
from nbops.transport import script
from nbops.transport.framing import Scanner, new_mark
from nbops.transport.machine import Machine

TICK = 0.2  # seconds between two looks at the run's stop signal while a stream is silent
_PROMPT = "[nbops needs the password] "
_HELLO_DEADLINE = 30.0

Chunk = tuple[bytes, bytes]
Sink = Callable[[bytes, bytes], None]


class WireBroken(Exception):
    """A wire came to its end while something was still to come."""


class DeadlinePassed(Exception):
    """An answer did not come in time; the stream still waits for it."""


class Wire(Protocol):
    """A two-way channel to one program: bytes in, two outputs."""

    def send(self, data: bytes, wait: Callable[[], None]) -> None:
        """Send all of `data`; `wait` is called about every 0.2 s that it takes, and may raise.

        Raises WireBroken when the other side is gone.
        """

    def receive(self, timeout: float) -> Chunk:
        """What came on both outputs, as soon as there is any; two empty texts after `timeout`
        seconds. Raises WireBroken at the end."""

    def close(self) -> None:
        """End it. Never raises."""


class Link(Protocol):
    """A way to one host on which wires are opened."""

    @property
    def alive(self) -> bool:
        """Whether wires can still be opened, as far as is known."""

    @property
    def streams(self) -> int:
        """How many wires may be open at once."""

    def open(self, command: str) -> Wire:
        """Run `command` on the host. Raises WireBroken when the link is down."""

    def put(self, source: Path | bytes, target: str, wait: Callable[[], None]) -> None:
        """Send a file (mode 0600) as the login user. Raises WireBroken or ActionFailed."""

    def close(self) -> None:
        """End the link and all its wires. Never raises."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the shell said at the end of a request: the words that stood with the mark."""

    words: tuple[str, ...]


class Stream:
    """A shell that waits for the next request. Used by one thread at a time."""

    def __init__(
        self, wire: Wire, machine: Machine, run: str, identity: Identity, stop: Stop
    ) -> None:
        self._wire = wire
        self._machine = machine
        self._host = machine.host
        self._identity = identity
        self.stop = stop  # heeded while it waits; set anew by whoever uses the stream next
        self.mark = ""  # of what it runs now, when that is a probe
        self.usable = True
        self.process: tuple[int, int] | None = None
        greeting = new_mark()
        self._greeting = (Scanner(greeting), Scanner(greeting))
        self._before = script.prelude(run) + script.hello(greeting, machine.id)

    @classmethod
    def open(cls, link: Link, machine: Machine, run: str, identity: Identity, stop: Stop) -> Stream:
        """A new shell of this identity.

        Raises WireBroken, or HostUnusable with SUDO_REFUSED when the identity is refused.
        """
        stream = cls(link.open(shell_command(identity)), machine, run, identity, stop)
        if not identity.is_login and identity.password is not None:
            try:
                stream._log_in(identity.password)
            except BaseException:
                stream.close()
                raise
        return stream

    def ask(
        self, request: bytes, mark: str, *, sink: Sink, deadline: Deadline, idle: bool = False
    ) -> Answer:
        """Send a request that ends with `mark` on both outputs; what comes before goes to
        `sink`.

        Raises WireBroken, DeadlinePassed (the request goes on), Interrupted, HostUnusable.
        With `idle` the deadline counts from the last output. After any of these the stream
        is not usable any more.
        """
        self.usable = False
        self._check_silence()
        request = script.whole(request)
        left: Chunk = (b"", b"")
        if self.process is None:
            with contextlib.suppress(WireBroken):  # why it broke is read below
                self._wire.send(self._before + request, lambda: self._wait(deadline))
            left = self._greet(deadline)
        else:
            self._wire.send(request, lambda: self._wait(deadline))
        out, err = Scanner(mark), Scanner(mark)
        while True:
            told = (out.feed(left[0]), err.feed(left[1]))
            if any(told):
                sink(*told)
                if idle:
                    deadline.renew()
            if out.done and err.done:
                break
            left = self._next(deadline)
        self.usable = not (out.rest or err.rest)
        return Answer(tuple((out.words or "").split()))

    def close(self) -> None:
        """End the shell."""
        self.usable = False
        self._wire.close()

    def _check_silence(self) -> None:
        """A shell that speaks unasked has a stray child: what it says is nobody's output."""
        if self.process is not None and any(self._wire.receive(0)):
            raise WireBroken("a process left behind writes into the stream")

    def _wait(self, deadline: Deadline) -> None:
        self.stop.check()
        if deadline.passed:
            raise DeadlinePassed

    def _next(self, deadline: Deadline) -> Chunk:
        while True:
            chunk = self._wire.receive(min(TICK, deadline.left))
            if any(chunk):
                return chunk
            self._wait(deadline)

    def _greet(self, deadline: Deadline) -> Chunk:
        """Read up to the shell's first answer; what was said before it is the host's own."""
        out, err = self._greeting
        said = b""
        try:
            while not (out.done and err.done):
                chunk = self._next(deadline)
                out.feed(chunk[0])
                said += err.feed(chunk[1])
        except WireBroken as broken:
            if self._identity.is_login or not said.strip():
                raise
            raise self._refused(said) from broken
        words = (out.words or "").split()
        if words[:1] == ["other"]:
            raise self._machine.refusal(words[-1])
        if len(words) != 3 or not all(word.isdigit() for word in words[:2]):
            raise ActionFailed(
                f"{self._host} shows no processes in /proc",
                hint="only Linux hosts can be managed, with /proc mounted",
            )
        self._machine.meet(words[2])
        self.process = (int(words[0]), int(words[1]))
        return out.rest, err.rest

    def _log_in(self, password: Secret) -> None:
        """Answer the password prompt, if there is one; the shell says when it is there."""
        deadline = Deadline(_HELLO_DEADLINE)
        asked, said, heard = 0, b"", b""
        while _READY.encode() not in heard:
            try:
                chunk = self._next(deadline)
            except (WireBroken, DeadlinePassed) as ended:
                raise self._refused(said) from ended
            heard, said = heard + chunk[0], said + chunk[1]
            if _prompt(self._identity).encode() in said:
                if asked:
                    raise self._refused(b"the password was not accepted")
                asked, said = 1, b""
                line = f"{password.reveal()}\n".encode()
                self._wire.send(line, lambda: self._wait(deadline))

    def _refused(self, said: bytes) -> HostUnusable:
        text = said.decode("utf-8", "replace").replace(_PROMPT, "").strip()
        who, how = self._identity.user, self._identity.method
        reason = text.splitlines()[-1] if text else "no reason was given"
        return HostUnusable(
            f"{self._host}: {how} to {who} was refused: {reason}",
            host=self._host,
            fault=HostFault.SUDO_REFUSED,
            hint=f"on {self._host}, let the login user run `{how}` as {who} without a password "
            "(/etc/sudoers.d), or give the password as `ansible_become_password`",
        )


_READY = "[nbops is ready]"


def _prompt(identity: Identity) -> str:
    return _PROMPT if identity.method == "sudo" else "assword: "


def shell_command(identity: Identity) -> str:
    """What is run on the host to have a shell of this identity.

    Raises UsageError for a method other than sudo and su.
    """
    if identity.user is None:
        return "exec /bin/sh"
    user = quote(identity.user)
    ready = f"echo {quote(_READY)}; exec /bin/sh"
    if identity.method == "sudo" and identity.password is None:
        other = f"exec sudo -H -n -u {user} -- /bin/sh"
    elif identity.method == "sudo":
        other = f"exec sudo -H -S -p {quote(_PROMPT)} -u {user} -- /bin/sh -c {quote(ready)}"
    elif identity.method == "su":
        inner = ready if identity.password is not None else "exec /bin/sh"
        other = f"exec env LC_ALL=C su -s /bin/sh -c {quote(inner)} -- {user}"
    else:
        raise UsageError(
            f"become method {identity.method!r} is not known",
            hint="use `sudo` (the default) or `su`",
        )
    own = "exec /bin/sh" if identity.password is None else ready
    # A login that is the wanted user already needs no sudo, and many hosts have none.
    script = f'if [ "$(id -un)" = {user} ]; then {own}; else {other}; fi'
    return f"exec /bin/sh -c {quote(script)}"
