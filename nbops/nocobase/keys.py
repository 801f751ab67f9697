"""The keys of a cluster, compared without being told: by marks that only who has the key can
make. They are the same for as long as the cluster lives. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from nbops.base.command import Text
from nbops.base.secret import Secret, reveal
from nbops.nocobase.environment import render_env_file

KEYS = {"APP_KEY": "secrets.app_key", "APP_AES_SECRET_KEY": "secrets.aes_key"}
"""The variables that hold keys, with the settings that they come from."""


def salt_of(app_key: Text) -> Secret:
    """The salt of all marks of a cluster; who does not have its key cannot guess by them."""
    digest = hmac.new(b"nbops look", reveal(app_key).encode(), hashlib.sha256)
    return Secret(digest.hexdigest()[:32])


def mark(salt: Text, line: str) -> str:
    """What stands for a line `NAME=value`."""
    return hashlib.sha256(f"{reveal(salt)}\n{line}".encode()).hexdigest()[:16]


def wanted_marks(settings: Mapping[str, Any]) -> dict[str, str]:
    """The marks of the keys that the settings give, as they stand in an environment file."""
    keys = settings["secrets"]
    env: dict[str, Text] = {"APP_KEY": keys["app_key"], "APP_AES_SECRET_KEY": keys["aes_key"]}
    return key_marks(render_env_file(env).reveal().splitlines(), salt_of(keys["app_key"]))


def key_marks(lines: Iterable[str], salt: Text) -> dict[str, str]:
    """The marks of the keys among the lines of an environment file."""
    found = ((line.partition("=")[0], line) for line in lines)
    return {name: mark(salt, line) for name, line in found if name in KEYS}


def other_keys(known: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The names of the keys that are known, and are not the wanted ones."""
    return [name for name in KEYS if known.get(name, wanted[name]) != wanted[name]]
