"""What is installed is what the lock names, and may be used. Needs no network."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ \\;]+)", re.MULTILINE)
# What makes an environment, and the project itself.
_NOT_LOCKED = {"nbops", "pip", "setuptools", "wheel"}
_FREE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|LGPL|Lesser"
    r"|Unlicense|Public Domain|Zlib|HPND)",
    re.IGNORECASE,
)
_FOR_TESTS_ONLY = {"ansible-core"}  # GPL: run beside nbops as a program, never a part of it


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    return {_name(name): version for name, version in _PIN.findall(text)}


def _installed() -> dict[str, metadata.Distribution]:
    found = {_name(one.metadata["Name"]): one for one in metadata.distributions()}
    return {name: one for name, one in found.items() if name not in _NOT_LOCKED}


def test_every_entry_of_the_lock_has_its_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]
    assert len(entries) == len(_locked()) > 20
    assert [one.split()[0] for one in entries if "--hash=sha256:" not in one] == []


def test_every_dependency_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {_name(re.split(r"[<>=!~;\[ ]", one)[0]) for one in wanted}
    assert names - set(_locked()) == set()


def test_what_is_installed_is_what_the_lock_names() -> None:
    locked = _locked()
    other = {n: d.version for n, d in _installed().items() if locked.get(n) != d.version}
    assert other == {}


@pytest.mark.parametrize("name", sorted(_installed()))
def test_its_licence_lets_it_be_used(name: str) -> None:
    if name in _FOR_TESTS_ONLY:
        return
    data = _installed()[name].metadata
    told = [data.get("License-Expression") or "", (data.get("License") or "")[:200]]
    told += [one for one in data.get_all("Classifier") or [] if one.startswith("License")]
    assert _FREE.search(" ".join(told)), told
