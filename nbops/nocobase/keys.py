"""The keys of a cluster, compared without being told: by marks that only who has the key can
make. They are the same for as long as the cluster lives. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from nbops.base.command import Text
from nbops.base.errors import RefusedError
from nbops.base.secret import Secret, reveal
from nbops.nocobase import releases
from nbops.nocobase.cluster import Cluster
from nbops.nocobase.environment import render_env_file
from nbops.nocobase.releases import Release

RELEASE_KEYS = "nocobase_release_keys"

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


def release_marks(release: Release, settings: Mapping[str, Any]) -> dict[str, str]:
    """The marks of the keys that a release was made with."""
    texts = (text for files in release.files.values() for text in files.values())
    salt = salt_of(settings["secrets"]["app_key"])
    return key_marks((line for text in texts for line in text.splitlines()), salt)


def match_keys(cluster: Cluster, present: Mapping[str, Any] | None) -> None:
    """The keys of a cluster stay as they are: sessions hang on one, encrypted data on the other.

    Raises RefusedError when the present release was made with others than the settings give.
    """
    if present is None:
        return
    wanted = wanted_marks(cluster.settings)
    for host in cluster.members:
        facts = cluster.fact(host, "nocobase_release")
        if not facts or facts["number"] != present["number"]:
            continue
        other = other_keys(cluster.fact(host, RELEASE_KEYS) or {}, wanted)
        if other:
            path = releases.path(cluster.name, int(present["number"]))
            raise RefusedError(
                f"{cluster.name} runs with another {other[0]} than `{KEYS[other[0]]}` gives"
                f" (release {present['number']})",
                hint=f"put the cluster's own key back: it stands in {path} on {host}, for root"
                " only",
            )
