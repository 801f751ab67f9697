"""Runbooks and inventories of somebody who means harm: to load, lint or list them runs nothing
and reads nothing that is not beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbops.base.errors import NbopsError
from nbops.cli.main import call
from nbops.engine.varsfiles import files_of
from nbops.inventory.load import load_inventory
from nbops.runbook.expr import Templar
from nbops.runbook.model import Play

SECRET = "outside-of-the-folder"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a secret beside it and links that lead there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "secret").write_text(SECRET)
    ours = tmp_path / "theirs"
    (ours / "templates").mkdir(parents=True)
    (ours / "link").symlink_to(tmp_path / "secret")
    (ours / "up").symlink_to(tmp_path)
    monkeypatch.chdir(ours)
    return ours


@pytest.mark.parametrize("name", ["../secret", "link", "up/secret", "templates/../../secret"])
@pytest.mark.parametrize(
    "text",
    [
        "{{{{ lookup('file', '{0}') }}}}",
        "{{{{ lookup('template', '{0}') }}}}",
        "{{{{ query('file', '{0}', errors='ignore') }}}}",
        "{{% include '{0}' %}}",
        "{{% import '{0}' as x %}}{{{{ x }}}}",
        "{{% extends '{0}' %}}",
        "{{% from '{0}' import x %}}",
    ],
)
def test_no_template_reads_outside_its_folder(folder: Path, text: str, name: str) -> None:
    try:
        shown = Templar((folder,)).render(text.format(name), {})
    except NbopsError as refused:
        shown = str(refused)
    assert SECRET not in str(shown)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ '' | attr('__class__') }}",
        "{{ ''['__class__'] }}",
        "{{ [''] | map(attribute='__class__') | list | first }}",
        "{{ [''] | map('attr', '__class__') | list | first }}",
        "{{ '{0.__class__}'.format('') }}",
        "{{ '{x.__class__}'.format_map({'x': ''}) }}",
        "{{ ('{0.__cl' ~ 'ass__}').format('') }}",
        "{{ lookup.__globals__ }}",
        "{{ lookup | attr('func_globals') }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ self.__dict__ }}",
        "{{ range.__self__ }}",
        "{{ lookup('pipe', 'id') }}",
        "{{ lookup('ansible.builtin.pipe', 'id') }}",
        "{{ lookup('url', 'http://127.0.0.1/') }}",
        "{{ {}.update.__self__.__class__.__base__.__subclasses__() }}",
        "{% for one in ().__class__.__base__.__subclasses__() %}{{ one }}{% endfor %}",
    ],
)
def test_no_expression_reaches_python(folder: Path, text: str) -> None:
    with pytest.raises(NbopsError):
        Templar((folder,)).render(text, {})


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 10**9 * 'a' }}",
        "{{ [0] * 10**9 }}",
        "{{ 9**(9**9) }}",
        "{{ (2**1000000)**1000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ '{:>{}}'.format(1, 1000000000) }}",
        "{{ 'x'.center(1000000000) }}",
        "{{ 'x'.zfill(1000000000) }}",
        "{{ ('a' * 1000000).replace('a', 'b' * 10000) }}",
        "{{ range(10**9) | list }}",
    ],
)
def test_a_few_signs_do_not_fill_the_memory(folder: Path, text: str) -> None:
    with pytest.raises(NbopsError):
        Templar((folder,)).render(text, {})


HOSTILE = {
    "a secret's command": """\
all:
  hosts: {h: {ansible_connection: local}}
  children: {app: {hosts: {h: }}}
  vars:
    nocobase:
      cluster: c
      version: 2.2.15
      database: {password: {command: "touch ran"}, host: db}
      secrets: {app_key: {command: [touch, ran]}, aes_key: {command: "touch ran"}}
""",
    "a proxy": "all: {hosts: {h: {ansible_ssh_common_args: \"-o ProxyCommand='touch ran'\"}}}\n",
    "a pipe": "all: {hosts: {h: {x: \"{{ lookup('pipe', 'touch ran') }}\"}}}\n",
    "a python tag": "all: !!python/object/apply:os.system ['touch ran']\n",
    "an object": "all: !!python/object/new:os.system ['touch ran']\n",
}
PLAY = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: Say\n      debug: {msg: x}\n"


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize(
    "command",
    [
        ("lint", "book.yml", "-i", "inventory.yml"),
        ("schema", "inventory"),
        ("run", "book.yml", "-i", "inventory.yml", "--list-hosts"),
        ("run", "book.yml", "-i", "inventory.yml", "--list-tasks"),
    ],
)
def test_reading_an_inventory_runs_nothing(
    folder: Path, what: str, command: tuple[str, ...]
) -> None:
    (folder / "inventory.yml").write_text(HOSTILE[what])
    (folder / "book.yml").write_text(PLAY)
    assert call(command) in {0, 1, 2}
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "tasks",
    [
        "- include_tasks: ../other.yml",
        "- import_tasks: up/other.yml",
        "- include_tasks: link",
        "- debug: {msg: \"{{ lookup('pipe', 'touch ran') }}\"}",
        "- debug: !!python/object/apply:os.system ['touch ran']",
    ],
)
def test_reading_a_runbook_runs_nothing_and_stays_in_its_folder(
    folder: Path, tasks: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder.parent / "other.yml").write_text(f"- debug: {{msg: {SECRET}}}\n")
    (folder / "book.yml").write_text(f"- hosts: localhost\n  tasks:\n    {tasks}\n")
    code = call(("lint", "book.yml"))
    told = capfd.readouterr()
    assert code in {1, 2}
    assert SECRET not in told.out + told.err
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("link", "to"),
    [
        ("group_vars/all.yml", "../../outside/all.yml"),
        ("group_vars/all", "../../outside"),
        ("group_vars/all/deep", "../../../outside"),
        ("host_vars/h.yml", "../up/outside/all.yml"),
        ("group_vars", "../outside"),
    ],
)
def test_no_variables_come_from_outside_the_inventorys_folder(
    folder: Path, link: str, to: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder.parent / "outside").mkdir()
    (folder.parent / "outside" / "all.yml").write_text(f"shown: {SECRET}\n: {SECRET}\n")
    (folder / link).parent.mkdir(parents=True, exist_ok=True)
    (folder / link).symlink_to(to)
    (folder / "inventory.yml").write_text("all: {hosts: {h: }}\n")
    (folder / "book.yml").write_text(PLAY)
    code = call(("run", "book.yml", "-i", "inventory.yml", "--list-hosts"))
    told = capfd.readouterr().err
    assert code == 2
    assert link in told
    assert f"leads to {folder.parent / 'outside'}" in told
    assert f"which is outside of {folder}" in told
    assert SECRET not in told


def test_links_within_the_inventorys_folder_are_followed(folder: Path) -> None:
    (folder / "common").mkdir()
    (folder / "common" / "all.yml").write_text("x: 1\n")
    for name in ("group_vars", "host_vars"):
        (folder / name).mkdir()
    (folder / "group_vars" / "all").symlink_to("../common")
    (folder / "host_vars" / "h.yml").symlink_to("../up/theirs/common/all.yml")
    (folder / "inventory.yml").write_text("all: {hosts: {h: }}\n")
    assert load_inventory(Path("inventory.yml")).vars_of("h") == {"x": 1}


@pytest.mark.parametrize(
    "name", ["../*", "../{{ x }}", "up/{{ x }}", "{{ x }}/secret", "link", "ABOVE/{{ x }}"]
)
def test_no_digest_is_made_of_a_file_outside_the_runbooks_folder(folder: Path, name: str) -> None:
    named = name.replace("ABOVE", str(folder.parent))
    (folder / "own.yml").write_text("x: 1\n")
    play = Play(path="0", folder=folder, hosts="all", vars_files=(named, "{{ y }}.yml"))
    found = {path.name for path in files_of([play], folder)}
    assert "own.yml" in found
    assert "secret" not in found
    assert "link" not in found


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n"
            for p, n in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "all: &x {hosts: *x}\n",
        "[" * 100_000,
        "{a: " * 50_000,
    ],
    ids=["anchors", "circle", "lists", "mappings"],
)
def test_a_bomb_is_refused_in_time_and_in_little_memory(folder: Path, bomb: str) -> None:
    (folder / "inventory.yml").write_text(bomb)
    (folder / "book.yml").write_text(PLAY)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30));"
        "from nbops.cli.main import call;"
        "sys.exit(call(['run', 'book.yml', '-i', 'inventory.yml', '--list-hosts']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
