"""Wrong inventories: exit code 2, with place and hint, and no host is contacted."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.cli import wire
from tests.cli.cli_told import Nbops


@pytest.fixture
def good(nbops: Nbops, monkeypatch: pytest.MonkeyPatch) -> str:
    """The text of a good inventory, its secrets in this folder; nothing may connect."""
    nbops("init")

    def pool(*_: object, **__: object) -> None:
        pytest.fail("a host would have been contacted")

    monkeypatch.setattr(wire, "Pool", pool)
    return Path("inventory.yml").read_text()


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def without_app(text: str) -> str:
    return re.sub(r"    app: .*?\n(?=    balancer)", "", text, flags=re.DOTALL)


WRONG = {
    "empty": (lambda _: "", 1, "is empty"),
    "only a comment": (lambda _: "# later\n", 1, "is empty"),
    "not YAML": (lambda _: "all:\n  hosts: [\n", 3, "not valid YAML"),
    "a duplicate key": (
        replaced("      version: 2.2.15\n", "      version: 2.2.15\n      version: 2.2.16\n"),
        None,
        "key `version` stands here a second time",
    ),
    "an unknown key": (
        replaced("      cluster: main\n", "      cluster: main\n      verson: 1\n"),
        None,
        "unknown key `verson` under `nocobase:`",
    ),
    "a bad SSH port": (
        replaced("    # ansible_port: 22", "    ansible_port: 99999"),
        None,
        "99999 is not between 1 and 65535",
    ),
    "a bad port of the app": (
        replaced("        # port: 13000 #", "        port: http #"),
        None,
        "`runtime.port`: must be a whole number",
    ),
    "a host in no group": (
        replaced("all:\n", "all:\n  hosts:\n    stray:\n"),
        None,
        "host `stray` is in no group",
    ),
    "no host that runs the app": (without_app, 1, "no host in the group `app`"),
    "a secret whose file is missing": (
        replaced("secrets/db_password", "secrets/nope"),
        None,
        "secret `database.password` cannot be had",
    ),
    "a secret whose variable is not set": (
        replaced("{file: secrets/app_key}", "{env: NBOPS_TEST_NOT_SET}"),
        None,
        "`NBOPS_TEST_NOT_SET` is not set",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_is_refused_with_its_place(nbops: Nbops, good: str, what: str) -> None:
    change, line, says = WRONG[what]
    Path("inventory.yml").write_text(change(good))
    told = nbops("deploy")
    assert told.code == 2
    assert told.out == ""
    found = re.search(r"^inventory\.yml:(\d+):(\d+): error: (.*)$", told.err, re.MULTILINE)
    assert found, told.err
    assert line in {None, int(found[1])}
    assert says in told.err


@pytest.mark.parametrize("what", WRONG)
def test_it_is_refused_with_a_hint(nbops: Nbops, good: str, what: str) -> None:
    change, _, _ = WRONG[what]
    Path("inventory.yml").write_text(change(good))
    assert "\n  hint: " in nbops("deploy").err


def test_several_mistakes_are_told_at_once(nbops: Nbops, good: str) -> None:
    wrong = good.replace("      version: 2.2.15", "      verson: 2.2.15")
    Path("inventory.yml").write_text(wrong.replace("managed: true", "managed: perhaps"))
    assert nbops("deploy").err.count("error: ") >= 3


@pytest.mark.parametrize("command", ["deploy", "rollback", "backup", "backups", "status"])
def test_a_missing_inventory_is_named(nbops: Nbops, good: str, command: str) -> None:
    told = nbops(command, "missing.yml")
    assert told.code == 2
    assert "missing.yml" in told.err
    assert "nbops init" in told.err


def test_without_an_inventory_the_way_to_one_is_shown(nbops: Nbops) -> None:
    told = nbops("deploy")
    assert told.code == 2
    assert "nbops init" in told.err


def test_a_deploy_without_settings_is_refused(nbops: Nbops, local: Path) -> None:
    told = nbops("deploy")
    assert told.code == 2
    assert "`nocobase:`" in told.err


def test_a_part_of_the_cluster_that_does_not_exist_is_refused(nbops: Nbops, good: str) -> None:
    told = nbops("deploy", "--limit", "nobody")
    assert told.code == 2
    assert "nobody" in told.err


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (("deploy", "-e", "ansible_port=ssh"), "-e ansible_port=…: ", ""),
        (("upgrade", "--version", "abc"), "--version abc: `abc` is not a version", "pin a number"),
        (("upgrade", "--version", "latest"), "an alias that moves", "pin a number"),
    ],
)
def test_a_wrong_word_of_the_command_line_is_named_as_such(
    nbops: Nbops, good: str, words: tuple[str, ...], says: str, hint: str
) -> None:
    said = nbops(*words)
    assert said.code == 2
    assert says in said.err
    assert hint in said.err
