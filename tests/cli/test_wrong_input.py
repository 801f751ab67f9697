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


def test_a_task_that_no_host_comes_to_is_nothing_to_start_at(nbops: Nbops, local: Path) -> None:
    Path("book.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - {name: two, command: touch two, tags: never}\n    - {command: touch one}\n"
    )
    said = nbops("run", "book.yml", "--start-at-task", "two")
    assert said.code == 2
    assert "no host comes to a task `two`: nothing was done" in said.err


def test_a_limit_that_leaves_no_host_is_refused(nbops: Nbops, local: Path) -> None:
    Path("book.yml").write_text("- hosts: all\n  tasks: [{debug: }]\n")
    said = nbops("run", "book.yml", "--limit", "here:!here")
    assert said.code == 2
    assert "--limit here:!here leaves no host to any play" in said.err


def test_a_file_that_one_may_not_read_is_no_bug(
    nbops: Nbops, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root one may read all: what the system says to others is put in its place."""

    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    Path("book.yml").write_text("- hosts: all\n")
    monkeypatch.setattr(Path, "is_file", refused)
    for words in (("run", "book.yml"), ("lint", "book.yml")):
        said = nbops(*words)
        assert said.code == 2
        assert "error: book.yml: Permission denied" in said.err


def test_what_is_encrypted_with_ansible_vault_is_named_as_such_everywhere(
    nbops: Nbops, local: Path
) -> None:
    Path("vaulted.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    Path("vaulted.yml").chmod(0o600)
    Path("book.yml").write_text("- hosts: all\n  vars_files: [vaulted.yml]\n  tasks: [{debug: }]\n")
    for words in (("run", "book.yml"), ("run", "book.yml", "-e", "@vaulted.yml")):
        said = nbops(*words)
        assert said.code in {1, 2}
        assert "encrypted with Ansible Vault, which nbops does not read" in said.err + said.out


def test_a_password_of_an_inventory_may_come_from_a_file_beside_it(
    nbops: Nbops, local: Path
) -> None:
    Path("deep").mkdir()
    Path("deep/word").write_text("tokentok88\n")
    password = "ansible_become_password: \"{{ lookup('file', 'word') }}\""
    Path("deep/inventory.yml").write_text(f"{local.read_text()}  vars:\n    {password}\n")
    assert nbops("exec", "all", "-i", "deep/inventory.yml", "--", "true").code == 0


def test_a_password_that_cannot_be_evaluated_is_told_with_its_place(
    nbops: Nbops, local: Path
) -> None:
    local.write_text(f'{local.read_text()}  vars:\n    ansible_become_password: "{{{{ gone }}}}"\n')
    Path("book.yml").write_text("- hosts: all\n  tasks: [{debug: }]\n")
    said = nbops("run", "book.yml")
    assert said.code == 2
    assert "inventory.yml:6:30: error: `ansible_become_password`: 'gone' is undefined" in said.err
