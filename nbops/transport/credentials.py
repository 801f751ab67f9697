"""What is offered at login, in ssh's order: named keys, the agent, the usual keys, password."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy

from nbops.base.paths import open_to_everyone
from nbops.transport.sshconfig import Hop

USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


class _Key(AuthSource):
    """A private key of this machine or the agent's."""

    def __init__(self, username: str, key: paramiko.PKey, label: str) -> None:
        super().__init__(username)
        self._key = key
        self._label = label

    def __repr__(self) -> str:
        return self._label

    def authenticate(self, transport: paramiko.Transport) -> Any:
        """Offer it."""
        return transport.auth_publickey(self.username, self._key)


class _Unreadable(AuthSource):
    """A key file that cannot be used: it fails in its turn, with its reason."""

    def __init__(self, username: str, label: str, reason: str) -> None:
        super().__init__(username)
        self._text = f"{label} ({reason})"

    def __repr__(self) -> str:
        return self._text

    def authenticate(self, transport: paramiko.Transport) -> Any:  # noqa: ARG002
        """Fail."""
        raise paramiko.AuthenticationException(self._text)


class _Password(AuthSource):
    """The password of the inventory."""

    def __init__(self, username: str, hop: Hop) -> None:
        super().__init__(username)
        self._hop = hop

    def __repr__(self) -> str:
        return "the password"

    def authenticate(self, transport: paramiko.Transport) -> Any:
        """Offer it."""
        assert self._hop.password is not None  # noqa: S101 (made for one that is there)
        return transport.auth_password(self.username, self._hop.password.reveal())


class _Strategy(AuthStrategy):
    """Offers what `Credentials` has for a hop, one by one."""

    def __init__(self, sources: Iterator[AuthSource]) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._sources = sources

    def get_sources(self) -> Iterator[AuthSource]:
        """See paramiko."""
        return self._sources


class Credentials:
    """Keys, each read from its file once a run."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._keys: dict[tuple[Path, bool], paramiko.PKey | str] = {}

    def strategy(self, hop: Hop) -> AuthStrategy:
        """What is to be offered to this hop."""
        return _Strategy(self._sources(hop))

    def _sources(self, hop: Hop) -> Iterator[AuthSource]:
        for file in hop.key_files:
            yield self._source(hop, file)
        if not hop.identities_only:
            for key in self._agent():
                name = f"agent key {key.comment or key.get_name()}"
                yield _Key(hop.user, key, name)
            if not hop.key_files:
                for name in USUAL_KEYS:
                    file = Path("~/.ssh").expanduser() / name
                    if file.is_file():
                        yield self._source(hop, file)
        if hop.password is not None:
            yield _Password(hop.user, hop)

    def _source(self, hop: Hop, file: Path) -> AuthSource:
        key = self._load(file.expanduser(), hop)
        if isinstance(key, str):
            return _Unreadable(hop.user, f"key {file}", key)
        return _Key(hop.user, key, f"key {file}")

    def _load(self, file: Path, hop: Hop) -> paramiko.PKey | str:
        """The key, or why it cannot be used. The password may be the key's own."""
        with self._turn:
            place = (file, hop.password is not None)
            if place not in self._keys:
                password = hop.password.reveal() if hop.password else None
                self._keys[place] = _read(file, password)
            return self._keys[place]

    def _agent(self) -> tuple[paramiko.AgentKey, ...]:
        if "SSH_AUTH_SOCK" not in os.environ:
            return ()
        with self._turn:
            try:
                return paramiko.Agent().get_keys()
            except (OSError, paramiko.SSHException):
                return ()  # an agent that does not answer offers no keys, as with ssh


def _read(file: Path, password: str | None) -> paramiko.PKey | str:
    # Its stub says text, and what it hands the passphrase to takes bytes alone.
    passphrases: tuple[Any, ...] = (None, password.encode()) if password else (None,)
    for secret in passphrases:
        try:
            key = paramiko.PKey.from_path(file, secret)
            if open_to_everyone(file.stat()):
                return f"everyone on this computer can read or write it: `chmod 600 {file}`"
            return key
        except paramiko.PasswordRequiredException:
            reason = "needs a passphrase: load it with ssh-add"
        except FileNotFoundError:
            return "not there"
        except (OSError, ValueError, paramiko.SSHException) as error:
            reason = f"cannot be read: {error}"
        except Exception as error:  # noqa: BLE001 (paramiko lets errors of its libraries through)
            reason = f"cannot be read: {type(error).__name__}"
    return reason
