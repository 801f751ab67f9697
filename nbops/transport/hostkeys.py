"""Known host keys: reading OpenSSH's files, judging a key, adding one. No network.

Source: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". paramiko's own reader raises on `@revoked`
and `@cert-authority` lines and knows no patterns, so nbops reads the files itself.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import fnmatch
import hashlib
import hmac
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

DEFAULT_PORT = 22
USER_FILES = (Path("~/.ssh/known_hosts"), Path("~/.ssh/known_hosts2"))
SYSTEM_FILES = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))


class Verdict(StrEnum):
    """What the known keys say of a key that a host shows."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file. `marker` is empty, `revoked` or `cert-authority`."""

    hosts: str
    kind: str
    key: bytes
    marker: str = ""
    file: Path = Path()
    line: int = 0

    def names(self, name: str) -> bool:
        """Whether the line's host patterns match `name`; a negated pattern that does rules."""
        if self.hosts.startswith("|1|"):
            return _hash_matches(self.hosts, name)
        found = False
        for pattern in self.hosts.split(","):
            negated = pattern.startswith("!")
            if _glob(pattern.lstrip("!"), name):
                if negated:
                    return False
                found = True
        return found


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and the lines that led to it."""

    verdict: Verdict
    entries: tuple[Entry, ...] = ()


class KnownHosts:
    """The entries of some known_hosts files, in order."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)

    @classmethod
    def load(cls, files: Sequence[Path]) -> KnownHosts:
        """All files that are there. Lines that cannot be read are passed over, as ssh does."""
        entries: list[Entry] = []
        for file in files:
            path = file.expanduser()
            if path.is_file():
                entries += parse(path.read_text("utf-8", "replace"), path)
        return cls(entries)

    def judge(self, address: str, port: int, kind: str, key: bytes) -> Judgement:
        """What is known of a host's key. A revoked key is refused whatever else is known.

        A host that is known by any other key than this has a changed one. As ssh does, one that
        is not known with its port is looked for under its plain address; a key that is revoked
        there is refused in any case.
        """
        plain = self._named(address, DEFAULT_PORT, "revoked")
        revoked = (*self._named(address, port, "revoked"), *plain)
        refused = tuple(dict.fromkeys(e for e in revoked if e.key == key))
        if refused:
            return Judgement(Verdict.REVOKED, refused)
        own = self._named(address, port, "")
        known = own or self._named(address, DEFAULT_PORT, "")
        same = tuple(e for e in known if e.key == key and e.kind == kind)
        if same:
            return Judgement(Verdict.KNOWN, same)
        if own:
            return Judgement(Verdict.CHANGED, own)
        return Judgement(Verdict.UNKNOWN, self._named(address, port, "cert-authority"))

    def kinds(self, address: str, port: int) -> tuple[str, ...]:
        """The kinds of key by which a host is known: these are asked for first."""
        found = self._named(address, port, "") or self._named(address, DEFAULT_PORT, "")
        return tuple(dict.fromkeys(entry.kind for entry in found))

    def _named(self, address: str, port: int, marker: str) -> tuple[Entry, ...]:
        name = host_name(address, port)
        return tuple(e for e in self._entries if e.marker == marker and e.names(name))


def parse(text: str, file: Path = Path()) -> list[Entry]:
    """The entries of a known_hosts file."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0)[1:] if words[0].startswith("@") else ""
        if len(words) < 3 or marker not in ("", "revoked", "cert-authority"):
            continue
        try:
            key = base64.b64decode(words[2], validate=True)
        except (binascii.Error, ValueError):
            continue
        entries.append(Entry(words[0], words[1], key, marker, file, number))
    return entries


def host_name(address: str, port: int) -> str:
    """A host as known_hosts names it: in brackets with its port unless that is 22."""
    lower = address.lower()
    return lower if port == DEFAULT_PORT else f"[{lower}]:{port}"


def fingerprint(key: bytes) -> str:
    """A key's fingerprint as `ssh-keygen -l` shows it."""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def add(file: Path, address: str, port: int, kind: str, key: bytes) -> None:
    """Write a key to the end of a known_hosts file, as a whole or not at all.

    Other processes that add at the same time wait for each other. Raises OSError.
    """
    path = Path(os.path.realpath(file.expanduser()))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        old = path.read_bytes() if path.exists() else b""
        if old and not old.endswith(b"\n"):
            old += b"\n"
        line = f"{host_name(address, port)} {kind} {base64.b64encode(key).decode()}\n"
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        _replace(path, old + line.encode(), mode)
    finally:
        os.close(folder)


def _replace(path: Path, content: bytes, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _glob(pattern: str, name: str) -> bool:
    """ssh's patterns know `*` and `?`; brackets are themselves (they enclose a port's host)."""
    plain = re.sub(r"\[", "[[]", pattern.lower())
    return fnmatch.fnmatchcase(name, plain)


def _hash_matches(hashed: str, name: str) -> bool:
    parts = hashed.split("|")
    if len(parts) != 4:
        return False
    try:
        salt, expected = base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except (binascii.Error, ValueError):
        return False
    found = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return hmac.compare_digest(found, expected)
