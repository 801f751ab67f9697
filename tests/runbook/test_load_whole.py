"""What only the whole runbook shows: handlers that are not there, files that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.base.errors import UsageError
from nbops.cli import wire
from nbops.runbook.load import load_runbook

Write = Callable[..., Path]
Faults = Callable[..., list[str]]

CATALOG = wire.catalog()


@pytest.fixture
def faults(write: Write) -> Faults:
    """What is wrong with a runbook: its tasks, then the rest of the play."""

    def found(tasks: str, rest: str = "") -> list[str]:
        lines = "".join(f"    {line}\n" for line in tasks.splitlines())
        try:
            load_runbook(write(f"- hosts: a\n  tasks:\n{lines}{rest}"), CATALOG)
        except UsageError as error:
            return [str(one) for one in error.problems]
        return []

    return found


HANDLERS = "  handlers:\n    - name: Restart\n      ping:\n      listen: news\n"


@pytest.mark.parametrize("name", ["Restart", "news", "'{{ x }}'", "[Restart, news]"])
def test_a_handler_is_called_by_its_name_or_topic(name: str, faults: Faults) -> None:
    assert not faults(f"- ping:\n  notify: {name}", HANDLERS)


def test_a_notification_that_nobody_answers_is_an_error(write: Write) -> None:
    text = "- hosts: a\n  tasks:\n    - ping:\n      notify:\n        - news\n        - Restrat\n"
    with pytest.raises(UsageError) as caught:
        load_runbook(write(text + HANDLERS), CATALOG)
    (problem,) = caught.value.problems
    assert str(problem) == "r.yml:6:11: no handler of this play is called `Restrat`"
    assert problem.hint == "did you mean `Restart`?"


@pytest.mark.parametrize(
    "tasks",
    [
        "- block: [{ping: }]\n  notify: x",
        "- block: [{ping: }]\n  rescue: [{ping: , notify: x}]",
        "- ping:\n  rollback: [{ping: , notify: x}]",
        "- include_tasks: in.yml",
    ],
)
def test_it_is_looked_for_wherever_it_may_stand(tasks: str, faults: Faults, write: Write) -> None:
    write("- ping:\n  notify: x\n", "in.yml")
    (fault,) = faults(tasks, HANDLERS)
    assert "no handler of this play is called `x`" in fault


def test_handlers_of_a_file_are_known(faults: Faults, write: Write) -> None:
    write("- name: x\n  ping:\n", "h.yml")
    for how in ("import_tasks", "include_tasks"):
        assert not faults("- ping:\n  notify: x", f"  handlers:\n    - {how}: h.yml\n")


def test_nothing_is_said_when_handlers_are_known_only_in_the_run(faults: Faults) -> None:
    assert not faults("- ping:\n  notify: x", "  handlers:\n    - include_tasks: '{{ f }}'\n")
    assert not faults("- ping:\n  notify: x", "  handlers:\n    - name: '{{ f }}'\n      ping:\n")


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("copy: {dest: /x, src: no.txt}", "no.txt"),
        ("copy: src=no.txt dest=/x", "no.txt"),
        ("template: {dest: /x, src: no.j2}", "no.j2"),
        ("script: no.sh --dry-run", "no.sh"),
        ("script: {cmd: no.sh}", "no.sh"),
    ],
)
def test_a_file_that_is_not_there_is_an_error(task: str, name: str, faults: Faults) -> None:
    (fault,) = faults(f"- {task}")
    assert fault.startswith("r.yml:3:")
    assert f"there is no file `{name}`" in fault


@pytest.mark.parametrize(
    "task",
    [
        "copy: {dest: /x, src: /etc/passwd, remote_src: true}",
        "copy: {dest: /x, src: '{{ f }}'}",
        "copy: {dest: /x, content: no.txt}",
        "copy: {dest: /x, src: no.txt}\n  ignore_errors: true",
        "copy: {dest: /x, src: no.txt}\n  failed_when: false",
        "block: [{copy: {dest: /x, src: no.txt}}]\n  rescue: [{ping: }]",
        "copy: {dest: /x, src: no.txt}\n- fetch: {src: /a, dest: no.txt, flat: true}",
        "copy: {dest: /x, src: no.txt}\n- command: make\n  delegate_to: localhost",
        "copy: {dest: /x, src: there.txt}",
        "copy: {dest: /x, src: a folder/}",
        "copy: {dest: /x, src: sub/there.txt}",
        "script: '\"a folder/run.sh\" now'",
    ],
)
def test_a_file_that_is_there_or_may_come_is_not(task: str, faults: Faults, write: Write) -> None:
    write("", "there.txt")
    write("", "files/sub/there.txt")
    write("", "a folder/run.sh")
    assert not faults(f"- {task}")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "link.txt", "files/../../out.txt"])
def test_no_file_leads_out_of_the_folder(name: str, faults: Faults, write: Write) -> None:
    out = Path.cwd().parent / "out.txt"
    out.write_text("")
    Path("link.txt").symlink_to(out)
    for task in ("copy: {dest: /x, src: %s}", "template: {dest: /x, src: %s}", "script: %s"):
        (fault,) = faults(f"- {task % name}")
        assert f"`{name}` leads out of the runbook's folder" in fault


def test_template_files_are_read_too(faults: Faults, write: Write) -> None:
    write("a\n{{ b | defalt(1) }}\n{{ c is tset }}\n", "templates/t.j2")
    write("{% if x %}", "u.j2")
    write("#jinja2: variable_start_string: '[['\n[[ x | nope ]] {{ y | nope }}", "w.j2")
    names = ("t.j2", "u.j2", "w.j2")
    tasks = "\n".join(f"- template: {{dest: /x, src: {name}}}" for name in names)
    assert [fault.split(": ", 1)[0] for fault in faults(tasks)] == [
        "templates/t.j2:2:1",
        "templates/t.j2:3:1",
        "u.j2:1:1",
    ]


def test_a_file_nearby_is_named(write: Write) -> None:
    write("", "files/site.conf")
    text = "- hosts: a\n  tasks:\n    - copy: {dest: /x, src: sites.conf}\n"
    with pytest.raises(UsageError) as caught:
        load_runbook(write(text), CATALOG)
    assert caught.value.problems[0].hint == "did you mean `site.conf`?"


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("foo(1)", "there is no function `foo`"),
        ("rnage(3)", "there is no function `rnage`"),
        ("x | map('uper')", "there is no filter `uper`"),
        ("x | select('evn')", "there is no test `evn`"),
        ("x | selectattr('a', 'equalt', 1)", "there is no test `equalt`"),
        ("x | regex_replace('(', '')", "is no regular expression"),
        ("x is match('[')", "is no regular expression"),
        ("lookup('fil', 'x')", "lookup `fil` is not supported"),
    ],
)
def test_names_in_expressions_that_nothing_bears(
    expression: str, says: str, faults: Faults
) -> None:
    for task in (f'debug: {{msg: "{{{{ {expression} }}}}"}}', f'ping:\n  when: "{expression}"'):
        (fault,) = faults(f"- {task}")
        assert says in fault


@pytest.mark.parametrize(
    "expression",
    [
        "range(3) | list",
        "x | map('upper') | list",
        "x | map(attribute='a') | list",
        "x | selectattr('a', 'equalto', 1)",
        "x | selectattr('a')",
        "x.foo(1)",
        "lookup('env', 'HOME')",
        "lookup(y, 'HOME')",
        "dict(a=1)",
    ],
)
def test_names_that_something_bears(expression: str, faults: Faults) -> None:
    assert not faults(f'- debug: {{msg: "{{{{ {expression} }}}}"}}')


def test_what_a_template_defines_itself_may_be_called(faults: Faults) -> None:
    assert not faults(
        '- debug: {msg: "{% macro m(a) %}{{ caller() }}{% endmacro %}{% set n = namespace(a=1) %}'
        '{% call m(1) %}x{% endcall %}{% for i in x recursive %}{{ loop(i) }}{% endfor %}"}'
    )


@pytest.mark.parametrize(
    "keyword",
    ["retries: -1", "delay: -1", "timeout: -0.5", "timeout: .inf", "become_method: sudoo"],
)
def test_values_that_no_keyword_takes(keyword: str, faults: Faults) -> None:
    assert len(faults(f"- ping:\n  {keyword}")) == 1


def test_a_word_near_a_choice_is_named(write: Write) -> None:
    text = "- hosts: a\n  tasks:\n    - file: {path: /x, state: drectory}\n"
    with pytest.raises(UsageError) as caught:
        load_runbook(write(text), CATALOG)
    assert caught.value.problems[0].hint == "did you mean `directory`?"
