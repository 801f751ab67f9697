"""Runbooks that do not load: every fault at once, each with its place and a hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.base.errors import Problem

Problems = Callable[[str], list[Problem]]
Write = Callable[..., Path]


def of_task(problems: Problems, task: str) -> list[Problem]:
    lines = "\n".join(f"      {line}" for line in task.splitlines())
    return problems(f"- hosts: all\n  tasks:\n    -\n{lines}\n")


def said(found: list[Problem]) -> str:
    return "\n".join(f"{problem} ({problem.hint})" for problem in found)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "a runbook is a list of plays", "begin with `- hosts"),
        ("a: 1", "a runbook is a list of plays", "begin with `- hosts"),
        ("[]", "the runbook holds no play", ""),
        ("- x", "a play is a mapping", ""),
        ("- tasks: []", "a play needs `hosts`", ""),
        ("- hosts: []", "`hosts` names no host", ""),
        ("- hosts: {a: b}", "`hosts` takes: host pattern", ""),
        ("- hosts: a\n  taks: []", "`taks` is no keyword of a play", "did you mean `tasks`?"),
        ("- hosts: a\n  command: ls", "`command` is an action: put it into `tasks`", ""),
        ("- hosts: a\n  loop: [1]", "`loop` belongs to a handler or a task, not to a play", ""),
        ("- hosts: a\n  serial: many", "`serial` takes: number, percentage", ""),
        ("- hosts: a\n  strategy: free", "`strategy` of Ansible is not supported", "linear"),
        ("- hosts: a\n  roles: [x]", "`roles` of Ansible is not supported", "import_tasks"),
        ("- hosts: a\n  remote_user: x", "`remote_user` of Ansible", "ansible_user"),
        ("- hosts: a\n  vars_prompt: []", "`vars_prompt` of Ansible", "-e KEY=VALUE"),
        ("- hosts: a\n  gather_subset: all", "`gather_subset` of Ansible", "leave it out"),
        ("- hosts: a\n  tags: '{{ x }}'", "tags are written out", ""),
        ("- hosts: a\n  order: random", "`order` is one of", ""),
        ("- hosts: a\n  tasks: {ping: }", "`tasks` takes: list of tasks|a list of tasks", ""),
        ("- hosts: a\n  vars: {a-b: 1}", "`a-b` cannot be the name of a variable", "letters"),
        ("- hosts: a\n  handlers:\n    - block: []", "a handler is one task, not a block", ""),
        ("- import_playbook: '{{ x }}'", "takes the name of a file", ""),
        ("- import_playbook: x.yml\n  become: yes", "`become` belongs to", ""),
        ("- hosts: a\n  vars_files: [nope.yml]", "`nope.yml`: no such file", ""),
        ("- hosts: a\n  hosts: b", "key `hosts` stands here a second time", "line 1"),
        ("- hosts: a\n  become: !vault x", "tag `!vault` is not supported", "ansible-vault"),
    ],
)
def test_faults_of_plays(text: str, message: str, hint: str, problems: Problems) -> None:
    found = problems(text)
    assert any(part in said(found) for part in message.split("|")), said(found)
    assert hint in said(found)
    assert all(problem.place for problem in found)


@pytest.mark.parametrize(
    ("task", "message", "hint"),
    [
        ("nmae: x\nping:", "`nmae` is neither a keyword of a task nor an action", "`name`"),
        ("copi: {dest: /x}", "`copi` is neither", "did you mean `copy`?"),
        ("name: x", "a task needs an action", "nbops actions"),
        ("ping:\ncommand: ls", "two actions in one task: `ping` and `command`", "two tasks"),
        ("git: {repo: x}", "`git` of Ansible is not supported", "command: git"),
        ("ansible.builtin.git: {}", "`git` of Ansible is not supported", "command: git"),
        ("community.general.ping: {}", "belongs to a collection", "`ping` of its own"),
        ("include_role: {name: x}", "`include_role` of Ansible", "include_tasks"),
        ("ping:\nasync: 5", "`async` of Ansible", "timeout"),
        ("ping:\nwith_items: [1]", "`with_items` of Ansible", "loop"),
        ("ping:\nwith_filetree: x", "`with_filetree` of Ansible", "loop"),
        ("ping:\nhosts: a", "`hosts` belongs to a play, not to a task", ""),
        ("ping:\nlisten: a", "`listen` belongs to a handler, not to a task", ""),
        ("ping: {data: x}", "`ping` has no argument `data`", "takes no arguments"),
        ("copy: {dest: /x, contnt: y}", "no argument `contnt`", "did you mean `content`?"),
        ("copy: {src: x}", "`copy` needs the argument `dest`", ""),
        ("copy: just words", "takes no free text", "mapping"),
        ("copy: [a]", "takes a mapping of arguments, not a list", ""),
        ("debug: {verbosity: much}", "`verbosity` of `debug`: input should be", ""),
        ("debug: msg='x", "arguments of `debug`: a quote is not closed", ""),
        ("debug: {msg: '{{ x }'}", "Syntax error in template", ""),
        ("debug: {msg: '{{ x | uper }}'}", "there is no filter `uper`", "`upper`"),
        ("debug: {msg: '{{ x is definde }}'}", "there is no test `definde`", "`defined`"),
        ("debug: {msg: \"{{ lookup('pipe', 'x') }}\"}", "lookup `pipe` is not supported", ""),
        ("debug: {msg: \"{{ lookup('file', '{{ x }}') }}\"}", "a template within", "itself"),
        ("debug: {msg: '{{ l | random }}'}", "there is no filter `random`", "resumed run"),
        ("debug: {msg: '{{ p is exists }}'}", "there is no test `exists`", "`stat`"),
        ("debug: {var: x ==}", "Syntax error in expression", ""),
        ("assert: {that: [a, 'b ==']}", "Syntax error in expression", ""),
        ("ping:\nwhen: '{{ x }} == 1'", "Syntax error in expression", "without `{{ }}`"),
        ("ping:\nwhen: \"'{{ x }}' == 'a'\"", "a template within an expression", "itself"),
        ("ping:\nwhen: 5", "a condition is true, false or the text", ""),
        ("ping:\nwhen: ['']", "a condition is true, false or the text", ""),
        ("ping:\nfailed_when: x | bogus", "there is no filter `bogus`", ""),
        ("ping:\nbecome: maybe", "`become` takes: true or false; not `maybe`", ""),
        ("ping:\nretries: 1.5", "`retries` takes: whole number", ""),
        ("ping:\ndelay: soon", "`delay` takes: number", ""),
        ("ping:\nregister: a-b", "`a-b` cannot be the name", ""),
        ("ping:\nloop: xs", "`loop` takes a list", '"{{ xs }}"'),
        ("ping:\nloop: {a: 1}", "`loop` takes a list", "dict2items"),
        ("ping:\nloop_control: {lable: x}", "`loop_control` has no `lable`", "`label`"),
        ("ping:\nloop_control: {loop_var: a-b}", "`a-b` cannot be the name", ""),
        ("ping:\nretry: {attemps: 1}", "`retry` has no `attemps`", "`attempts`"),
        ("ping:\nretry: {attempts: 0}", "`attempts` counts the first try", ""),
        ("ping:\nretry: {backoff: linear}", "`backoff` is `fixed` or `exponential`", ""),
        ("ping:\nretry: {delay: x}", "`delay` takes a number", ""),
        ("ping:\nretry: {}\ndelay: 1", "say the same thing twice", "keep `retry"),
        ("ping:\nenvironment: x", "`environment` takes: mapping", ""),
        ("ping:\nargs: [x]", "`args` takes: mapping of arguments", ""),
        ("ping:\nname: [x]", "`name` takes: text", ""),
        ("ping:\nrollback: {ping: }", "a list of tasks is needed", ""),
        ("ping:\n5: x", "`5` is no keyword", ""),
        ("block: []\nregister: x", "`register` belongs to a handler or a task, not to a", ""),
        ("block: []\nping:", "`ping` stands on a block", ""),
        ("block: []\nrescu: []", "`rescu` is no keyword of a block", "`rescue`"),
        ("rescue: []", "`rescue` stands without a `block`", ""),
        ("import_tasks: nope.yml", "`nope.yml`: no such file", ""),
        ("import_tasks: '{{ x }}'", "`import_tasks` takes the name of a file", "include_tasks"),
        ("import_tasks: ../../etc/passwd", "leads out of the runbook's folder", ""),
        ("import_tasks: /etc/passwd", "leads out of the runbook's folder", ""),
        ("import_tasks: in.yml\nloop: [1]", "`loop` has no effect on `import_tasks`", "include"),
        ("include_tasks: ../x.yml", "leads out of the runbook's folder", ""),
        ("include_tasks: nope.yml", "`nope.yml`: no such file", ""),
        ("include_tasks: in.yml\nbecome: yes", "`become` has no effect on `include_tasks`", ""),
        ("include_tasks: {fil: x}", "`include_tasks` has no argument `fil`", "`file`"),
        ("action: 5", "`action` takes an action and its arguments", ""),
        ("action: nope x=1", "`nope` is neither", ""),
    ],
)
def test_faults_of_tasks(
    task: str, message: str, hint: str, problems: Problems, write: Write
) -> None:
    write("- ping:\n", "in.yml")
    found = of_task(problems, task)
    assert message in said(found), said(found)
    assert hint in said(found)
    assert all(problem.place for problem in found)


def test_all_faults_of_all_files_are_told_at_once_in_their_order(
    problems: Problems, write: Write
) -> None:
    write("- pong:\n", "in.yml")
    found = problems(
        """
        - hosts: all
          bogus: 1
          tasks:
            - ping:
              whn: x
            - import_tasks: in.yml
            - debug: {msg: "{{ x"}
        """
    )
    places = [(p.place.file, p.place.line, p.place.column) for p in found if p.place]
    assert places == [("r.yml", 3, 3), ("r.yml", 6, 7), ("r.yml", 8, 20), ("in.yml", 1, 3)]


def test_places_point_at_the_word(problems: Problems) -> None:
    found = problems("- hosts: all\n  tasks:\n    - copy:\n        dest: /x\n        mod: '1'\n")
    assert str(found[0].place) == "r.yml:5:9"


def test_an_argument_with_a_template_is_checked_later(write: Write) -> None:
    from nbops.runbook.load import load_runbook
    from tests.runbook.conftest import CATALOG

    text = "- hosts: a\n  tasks:\n    - debug: {verbosity: '{{ v }}', msg: x}\n"
    assert load_runbook(write(text), CATALOG).plays


def test_files_that_lead_back_to_themselves_are_named(problems: Problems, write: Write) -> None:
    write("- include_tasks: b.yml\n", "a.yml")
    write("- import_tasks: a.yml\n", "b.yml")
    found = of_task(problems, "import_tasks: a.yml")
    assert "r.yml → a.yml → b.yml → a.yml" in said(found)


def test_a_link_out_of_the_folder_is_no_way_out(problems: Problems, write: Write) -> None:
    path = write("- ping:\n", "../outside-of-it.yml")
    Path("link.yml").symlink_to(path.resolve())
    try:
        assert "leads out" in said(of_task(problems, "import_tasks: link.yml"))
    finally:
        path.unlink()


def test_a_file_of_tasks_that_is_none(problems: Problems, write: Write) -> None:
    write("a: 1\n", "m.yml")
    assert "a file of tasks is a list of tasks" in said(of_task(problems, "import_tasks: m.yml"))


def test_a_file_that_is_not_yaml(problems: Problems, write: Write) -> None:
    write("- ping: [\n", "bad.yml")
    found = of_task(problems, "import_tasks: bad.yml")
    assert "not valid YAML" in said(found)
    assert found[0].place
    assert found[0].place.file == "bad.yml"


def test_a_missing_runbook(tmp_path: Path) -> None:
    from nbops.base.errors import UsageError
    from nbops.runbook.load import load_runbook
    from tests.runbook.conftest import CATALOG

    with pytest.raises(UsageError, match="no such file"):
        load_runbook(tmp_path / "nope.yml", CATALOG)


def test_the_same_fault_in_a_file_imported_twice_is_told_once(
    problems: Problems, write: Write
) -> None:
    write("- pong:\n", "in.yml")
    text = "- hosts: a\n  tasks:\n    - import_tasks: in.yml\n    - import_tasks: in.yml\n"
    assert len(problems(text)) == 1
