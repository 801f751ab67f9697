from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nbops.actions.apt import (
    AptAction,
    AptArgs,
    PackageAction,
    act_script,
    counted,
    differing,
    probe_script,
    read_seen,
    trouble,
)
from nbops.base.command import Outcome
from tests.actions.conftest import LocalContext, do

SEEN = read_seen(
    "1000\n400\ncurl|ii |7.88-1\nlibc6:amd64|ii |2.36\ngone|rc |1.0\nheld|hi |2\nhalf|iU |3\n"
)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"name": "curl"}, []),
        ({"name": "curl,libc6"}, []),
        ({"name": ["held"]}, []),
        ({"name": ["half"]}, ["half"]),
        ({"name": ["nginx", "curl"]}, ["nginx"]),
        ({"name": "curl=7.88-1"}, []),
        ({"name": "curl=8"}, ["curl=8"]),
        ({"name": "curl/bookworm-backports"}, []),
        ({"name": "lib*"}, ["lib*"]),
        ({"name": "curl", "state": "latest"}, ["curl"]),
        ({"name": "curl", "state": "absent"}, ["curl"]),
        ({"name": "gone", "state": "absent"}, []),
        ({"name": "gone", "state": "absent", "purge": True}, ["gone"]),
        ({"name": "never", "state": "absent"}, []),
    ],
)
def test_apt_is_asked_only_about_what_differs(arguments: dict[str, Any], names: list[str]) -> None:
    assert differing(AptArgs.model_validate(arguments), SEEN) == names


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        ({"name": "a"}, "install -- a"),
        ({"name": "a", "state": "absent", "purge": True}, "--purge remove -- a"),
        ({"name": "a", "default_release": "x y"}, "-t 'x y' install -- a"),
        ({"name": "a", "install_recommends": False}, "-o APT::Install-Recommends=no install -- a"),
        ({"name": "a", "only_upgrade": True}, "--only-upgrade install -- a"),
        ({"upgrade": True}, "--with-new-pkgs upgrade"),
        ({"upgrade": "dist"}, "dist-upgrade"),
        ({"autoremove": True}, "--auto-remove autoremove"),
    ],
)
def test_options_become_those_of_apt_get(arguments: dict[str, Any], call: str) -> None:
    args = AptArgs.model_validate(arguments)
    script = act_script(args, args.name, update=False)
    assert script.endswith(f"{call} || exit\n")
    assert "DEBIAN_FRONTEND=noninteractive" in script
    assert "DPkg::Lock::Timeout=60" in script


@pytest.mark.parametrize("name", ["-y", "a b", "a;b", "$(id)", "../x", "Ümlaut", ""])
def test_what_is_no_package_is_refused_before_anything_runs(name: str) -> None:
    with pytest.raises(ValidationError):
        AptArgs.model_validate({"name": [name]})


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("0 upgraded, 0 newly installed, 0 to remove and 12 not upgraded.\n", False),
        ("0 upgraded, 1 newly installed, 0 to remove and 12 not upgraded.\n", True),
        ("0 upgraded, 0 newly installed, 1 downgraded, 0 to remove and 0 not upgraded.\n", True),
        ("0 upgraded, 0 newly installed, 2 to remove and 0 not upgraded.\n", True),
        ("nothing of the kind\n", False),
    ],
)
def test_what_apt_counts_is_what_changed(text: str, changed: bool) -> None:
    assert counted(text) is changed


def test_a_package_that_is_nowhere_is_named() -> None:
    outcome = Outcome(100, b"", b"E: Unable to locate package nginxx\n")
    assert trouble(outcome) == "No package matching 'nginxx' is available"


def test_the_lists_are_fetched_only_when_they_are_old() -> None:
    assert AptArgs.model_validate({"cache_valid_time": 60}).updates
    assert not AptArgs.model_validate({"cache_valid_time": 60, "update_cache": False}).updates
    assert probe_script([]).count("dpkg-query") == 0


def test_what_is_installed_costs_one_round_trip(ctx: LocalContext) -> None:
    for action in (AptAction(), PackageAction()):
        ctx.probes.clear()
        result = do(action, ctx, name="dpkg", state="present")
        assert not result.changed
        assert (len(ctx.probes), len(ctx.acts)) == (1, 0)


def test_check_mode_asks_apt_itself_and_installs_nothing(ctx: LocalContext) -> None:
    ctx.check = True
    result = do(AptAction(), ctx, name="no-such-package-at-all")
    assert result.msg == "No package matching 'no-such-package-at-all' is available"
    assert do(AptAction(), ctx, name="sl").changed
