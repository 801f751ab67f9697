"""Findings: what loads and will bite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.runbook.lint import RULES, Finding, lint
from nbops.runbook.load import load_runbook
from tests.runbook.conftest import CATALOG

Write = Callable[..., Path]
Lint = Callable[[str], list[Finding]]


@pytest.fixture
def findings(write: Write) -> Lint:
    return lambda text: lint(load_runbook(write(text), CATALOG), CATALOG)


def rules(found: list[Finding]) -> list[str]:
    return [one.rule for one in found]


def of_task(findings: Lint, task: str, *more: str) -> list[str]:
    lines = "\n".join(f"      {line}" for line in f"name: T\n{task}".splitlines())
    text = f"- hosts: all\n  tasks:\n    -\n{lines}\n" + "\n".join(more)
    return rules(findings(text))


def test_a_clean_runbook_has_no_findings(findings: Lint) -> None:
    assert not findings(
        """
        - hosts: all
          tasks:
            - name: Look
              command: uptime
              register: load
              changed_when: false
            - name: Say
              debug: {msg: "{{ load.stdout }}"}
              notify: Restart
          handlers:
            - name: Restart
              ping:
        """
    )


@pytest.mark.parametrize(
    ("task", "rule"),
    [
        ("command: ls", "always-changed"),
        ("command: ls\nchanged_when: false", None),
        ("command: ls creates=/x", None),
        ("command: ls\nregister: r\nchanged_when: r.rc == 0", None),
        ("command: ls\nchanged_when: false\nregister: r", "unused-register"),
        ("ping:\nregister: r\nuntil: r.rc == 0", None),
        ("shell: echo {{ x }}\nchanged_when: true", "unquoted-variable"),
        ("shell: echo {{ x | quote }}\nchanged_when: true", None),
        ("shell: echo {{ x | default('a') | quote }}\nchanged_when: true", None),
        ("shell: echo {{ x | quote | upper }}\nchanged_when: true", "unquoted-variable"),
        ("shell: echo {{ x | map('quote') | join(' ') }}\nchanged_when: true", None),
        ("shell: echo {{ n | int }} {{ '-v' if x else '' }}\nchanged_when: true", None),
        ("command: echo {{ x }}\nchanged_when: true", None),
        ("command: x\nchanged_when: true\nretry: {attempts: 2}", "undone-command"),
        ("command: x\nchanged_when: false\nretry: {attempts: 2}", None),
        ("copy: {dest: /x, content: a, mode: '0666'}", "open-permissions"),
        ("copy: {dest: /x, content: a, mode: 0777}", "open-permissions"),
        ("copy: {dest: /x, content: a, mode: 'o+w'}", "open-permissions"),
        ("copy: {dest: /x, content: a, mode: '0644'}", None),
        ("ping:\nvars: {db_password: abc}", "literal-secret"),
        ("ping:\nvars: {db_password: '{{ x }}'}", None),
        ("ping:\nenvironment: {API_KEY: abc}", "literal-secret"),
        ("copy: {dest: /x, content: a, mode: 644}", "decimal-mode"),
        ("copy: {dest: /x, content: a, mode: 0644}", None),
        ("copy: {dest: /x, content: a, mode: 0755}", None),
        ("copy: {dest: /x, content: a, mode: 600}", "decimal-mode"),
        ("copy: {dest: /x, content: a, mode: 755}", "decimal-mode"),
        ("set_fact: {hostvars: 1}", "magic-name"),
        ("ping:\nvars: {groups: 1}", "magic-name"),
        ("ping:\nnotify: '{{ x }}'", None),
        ("command: ls  # noqa: always-changed", None),
        ("command: ls  # noqa", None),
        ("command: ls\n# noqa: unnamed-task, always-changed  # it is fine", None),
        ("command: ls  # noqa: unused-register", "always-changed"),
        ("command: ls\nregister: groups  # noqa: magic-name, unused-register always-changed", None),
    ],
)
def test_tasks_that_bite(task: str, rule: str | None, findings: Lint) -> None:
    assert of_task(findings, task) == ([rule] if rule else [])


def test_a_task_without_a_name(findings: Lint) -> None:
    found = findings("- hosts: a\n  tasks:\n    - ping:\n    - meta: noop\n")
    assert [str(one) for one in found] == ["r.yml:3:7: this `ping` has no name [unnamed-task]"]


def test_a_handler_that_nobody_notifies(findings: Lint) -> None:
    text = "- hosts: a\n  handlers:\n    - name: Restrat\n      ping:\n"
    assert rules(findings(text)) == ["idle-handler"]
    heard = text + "      listen: news\n  tasks:\n    - name: T\n      ping:\n      notify: news\n"
    assert not findings(heard)


def test_an_unreachable_host_after_which_the_run_goes_on(findings: Lint) -> None:
    play = "- hosts: a\n  any_errors_fatal: true\n"
    task = "  tasks:\n    - name: T\n      ping:\n"
    found = findings(play + task + "- hosts: b\n" + task)
    assert [(one.rule, str(one.place)) for one in found] == [("half-fatal", "r.yml:2:21")]
    assert not findings(play + task)
    assert not findings(play + "  max_fail_percentage: 0\n" + task + "- hosts: b\n" + task)


def test_a_comment_silences_only_its_own_task(findings: Lint) -> None:
    found = findings(
        "- hosts: a\n  tasks:\n    - name: T\n      command: a  # noqa: always-changed\n"
        "    - name: U\n      command: b\n"
    )
    assert [str(one.place) for one in found] == ["r.yml:5:7"]


def test_a_comment_that_names_no_rule_is_a_finding(findings: Lint) -> None:
    found = findings("- hosts: a\n  tasks:\n    - name: T\n      ping:  # noqa: unused-registr\n")
    assert [(one.rule, one.hint) for one in found] == [
        ("unknown-rule", "did you mean `unused-register`?")
    ]


def test_a_result_read_in_a_file_of_variables_is_used(findings: Lint, write: Write) -> None:
    write("a: '{{ r.rc }}'\n", "v.yml")
    assert not findings(
        "- hosts: a\n  vars_files: v.yml\n  tasks:\n    - name: R\n      ping:\n      register: r\n"
    )


def test_a_block_can_notify(findings: Lint) -> None:
    assert not findings(
        "- hosts: a\n  tasks:\n    - block:\n        - name: T\n          ping:\n"
        "      notify: H\n  handlers:\n    - name: H\n      ping:\n"
    )


def test_included_files_are_looked_at_too(findings: Lint, write: Write) -> None:
    write("- name: T\n  command: '{{ r.stdout }}'\n", "in.yml")
    found = findings(
        "- hosts: a\n  tasks:\n    - name: R\n      ping:\n      register: r\n"
        "    - include_tasks: in.yml\n"
    )
    assert [(one.rule, one.place and one.place.file) for one in found] == [
        ("always-changed", "in.yml")
    ]


def test_what_a_templated_include_reads_is_not_known(findings: Lint) -> None:
    assert not findings(
        "- hosts: a\n  tasks:\n    - name: R\n      ping:\n      register: r\n"
        "    - include_tasks: '{{ x }}.yml'\n"
    )


def test_a_result_read_by_another_play_is_used(findings: Lint) -> None:
    assert not findings(
        "- hosts: a\n  tasks:\n    - name: R\n      ping:\n      register: r\n"
        "- hosts: b\n  tasks:\n    - name: S\n      debug: {msg: '{{ hostvars.x.r.rc }}'}\n"
    )


def test_every_rule_is_described() -> None:
    assert all(text.endswith(".") for text in RULES.values())
