"""Runbooks that load: what the model holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.base.errors import Place, UsageError
from nbops.runbook.load import load_runbook, load_tasks, load_vars
from nbops.runbook.model import Block, Node, Runbook, Task
from tests.runbook.conftest import CATALOG

Load = Callable[[str], Runbook]
Write = Callable[..., Path]


def first(runbook: Runbook) -> Task:
    task = runbook.plays[0].tasks[0]
    assert isinstance(task, Task)
    return task


def one(load: Load, task: str) -> Task:
    """A task from its lines, each indented by two spaces within the list."""
    lines = "\n".join(f"      {line}" for line in task.splitlines())
    return first(load(f"- hosts: all\n  tasks:\n    -\n{lines}\n"))


def every(nodes: tuple[Node, ...]) -> list[str]:
    """The paths of all nodes, in order."""
    paths = []
    for node in nodes:
        paths.append(node.path)
        if isinstance(node, Block):
            paths += every((*node.block, *node.rescue, *node.always))
        paths += every(node.rollback)
    return paths


def test_a_play_holds_what_was_written(load: Load) -> None:
    play = load(
        """
        - name: Nodes
          hosts: [app, "!node3"]
          serial: [1, "50%"]
          become: yes
          gather_facts: "no"
          max_fail_percentage: 30
          vars: {x: 1}
          environment: {A: "{{ x }}"}
          tags: a, b
          phase: verify
          order: sorted
        """
    ).plays[0]
    assert (play.name, play.hosts, play.serial) == ("Nodes", ["app", "!node3"], [1, "50%"])
    assert (play.become, play.gather_facts) == (True, False)
    assert (play.max_fail_percentage, play.tags, play.phase) == (30, ("a", "b"), "verify")
    assert (play.vars, play.environment, play.order) == ({"x": 1}, ({"A": "{{ x }}"},), "sorted")
    assert play.place == Place("r.yml", 2, 3)
    assert play.places["serial"] == Place("r.yml", 4, 11)


def test_a_task_holds_what_was_written(load: Load) -> None:
    task = one(
        load,
        """name: T
command: echo {{ x }}
when: [x == 1, "{{ y }}", true]
loop: "{{ l }}"
loop_control: {loop_var: it, index_var: i, label: "{{ it }}", pause: 1, extended: yes}
register: r
until: r.rc == 0
retries: "5"
delay: 2
changed_when: false
failed_when: [r.rc > 1]
notify: ["{{ h }}"]
delegate_to: db
ignore_errors: "{{ z }}"
timeout: 30
tags: [t, 1]
vars: {y: "{{ x }}"}""",
    )
    assert (task.action, task.args) == ("command", {"cmd": "echo {{ x }}"})
    assert task.when == ("x == 1", "{{ y }}", True)
    assert (task.loop, task.loop_control.loop_var, task.loop_control.extended) == (
        "{{ l }}",
        "it",
        True,
    )
    assert (task.until, task.retries, task.delay) == (("r.rc == 0",), 5, 2)
    assert (task.changed_when, task.failed_when) == ((False,), ("r.rc > 1",))
    assert (task.notify, task.delegate_to, task.ignore_errors) == (("{{ h }}",), "db", "{{ z }}")
    assert (task.timeout, task.tags, task.vars) == (30, ("t", "1"), {"y": "{{ x }}"})
    assert task.folder == Path()


def test_what_is_not_written_is_none(load: Load) -> None:
    task = one(load, "ping:")
    assert (task.become, task.retries, task.changed_when, task.failed_when) == (None,) * 4
    assert (task.args, task.when, task.notify) == ({}, (), ())


def test_empty_keywords_are_as_if_not_written(load: Load) -> None:
    task = one(load, "ping:\nwhen:\nnotify:\nvars:\ntags:")
    assert (task.when, task.notify, task.vars, task.tags) == ((), (), {}, ())


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("command: uptime", {"cmd": "uptime"}),
        ("ansible.builtin.command: uptime", {"cmd": "uptime"}),
        ("command: echo  a  creates=/x  'b  c'", {"cmd": "echo  a   'b  c'", "creates": "/x"}),
        ("command: ls chdir='/a b'", {"cmd": "ls", "chdir": "/a b"}),
        ("command: X=1 run", {"cmd": "X=1 run"}),
        ("command: echo 'creates=/x'", {"cmd": "echo 'creates=/x'"}),
        ("command: '{{ a }} creates={{ b }}'", {"cmd": "{{ a }}", "creates": "{{ b }}"}),
        ("command: {cmd: ls, chdir: /t}", {"cmd": "ls", "chdir": "/t"}),
        ("command: ls\nargs: {chdir: /t}", {"cmd": "ls", "chdir": "/t"}),
        ("command: ls chdir=/a\nargs: {chdir: /b}", {"cmd": "ls", "chdir": "/a"}),
        ("command:\nargs: {cmd: ls}", {"cmd": "ls"}),
        ("shell: |\n  a 'open\n  b\n", {"cmd": "a 'open\nb\n"}),
        ("action: command ls chdir=/t", {"cmd": "ls", "chdir": "/t"}),
        ("action: {module: command, cmd: ls}", {"cmd": "ls"}),
        ("copy: src=a dest='/b c' mode=0644", {"src": "a", "dest": "/b c", "mode": "0644"}),
        ("debug: msg='{{ 1 + 1 }} x'", {"msg": "{{ 1 + 1 }} x"}),
        (r"""debug: 'msg="a\nb"'""", {"msg": "a\nb"}),
        ("set_fact: a=1 b={{ x }}", {"a": "1", "b": "{{ x }}"}),
        ("meta: flush_handlers", {"what": "flush_handlers"}),
        ("assert: {that: [a, b == 1]}", {"that": ["a", "b == 1"]}),
    ],
)
def test_arguments_in_every_form(text: str, args: dict[str, object], load: Load) -> None:
    assert one(load, text).args == args


def test_all_arguments_may_come_from_a_template(load: Load) -> None:
    task = one(load, 'copy:\nargs: "{{ what }}"')
    assert (task.args, task.args_template) == ({}, "{{ what }}")
    assert one(load, 'copy: "{{ what }}"').args_template == "{{ what }}"


def test_a_local_action_is_delegated_to_this_machine(load: Load) -> None:
    task = one(load, "local_action: command ls")
    assert (task.action, task.args, task.delegate_to) == ("command", {"cmd": "ls"}, "localhost")


def test_paths_are_places_in_the_plan(load: Load) -> None:
    play = load(
        """
        - hosts: a
          pre_tasks: [ping: ]
          tasks:
            - block:
                - ping:
                - block: [ping: ]
              rescue: [ping: ]
              always: [ping: ]
              rollback: [ping: ]
            - ping:
              rollback: [ping: ]
          post_tasks: [ping: ]
          handlers: [ping: ]
        - hosts: b
          tasks: [ping: ]
        """
    ).plays
    assert every(play[0].pre_tasks) == ["0.0"]
    assert every(play[0].tasks) == [
        "0.1",
        "0.1.0",
        "0.1.1",
        "0.1.1.0",
        "0.1.r0",
        "0.1.a0",
        "0.1.u0",
        "0.2",
        "0.2.u0",
    ]
    assert every(play[0].post_tasks) == ["0.3"]
    assert every(play[0].handlers) == ["0.h0"]
    assert every(play[1].tasks) == ["1.0"]


def test_a_block_holds_its_parts_and_keywords(load: Load) -> None:
    block = (
        load(
            """
        - hosts: a
          tasks:
            - name: B
              block: [ping: ]
              rescue: [ping: ]
              when: x
              become: true
              delegate_to: db
              rescue_unreachable: true
        """
        )
        .plays[0]
        .tasks[0]
    )
    assert isinstance(block, Block)
    assert (block.name, block.when, block.become) == ("B", ("x",), True)
    assert (block.delegate_to, block.rescue_unreachable) == ("db", True)
    assert (len(block.block), len(block.rescue), len(block.always)) == (1, 1, 0)


def test_imported_tasks_stand_in_a_block_with_the_keywords_of_the_import(
    load: Load, write: Write
) -> None:
    write("- ping:\n- command: ls\n", "sub/in.yml")
    runbook = load(
        "- hosts: a\n  tasks:\n    - import_tasks: sub/in.yml\n      when: x\n      tags: t\n"
        "      become: yes\n      vars: {v: 1}\n"
    )
    block = runbook.plays[0].tasks[0]
    assert isinstance(block, Block)
    assert (block.when, block.tags, block.become, block.vars) == (("x",), ("t",), True, {"v": 1})
    assert [node.path for node in block.block] == ["0.0.0", "0.0.1"]
    assert all(isinstance(node, Task) and node.folder == Path("sub") for node in block.block)
    assert runbook.files == (Path("r.yml"), Path("sub/in.yml"))


def test_imported_handlers_stand_on_their_own(load: Load, write: Write) -> None:
    write("- name: h\n  ping:\n  when: a\n", "h.yml")
    handler = (
        load(
            "- hosts: a\n  handlers:\n    - import_tasks: h.yml\n      when: b\n      become: yes\n"
        )
        .plays[0]
        .handlers[0]
    )
    assert isinstance(handler, Task)
    assert (handler.name, handler.when, handler.become) == ("h", ("b", "a"), True)


def test_imported_plays_get_the_conditions_tags_and_variables_of_the_import(
    load: Load, write: Write
) -> None:
    write(
        "- hosts: b\n  vars: {x: 1, y: 1}\n  tags: own\n  tasks:\n    - ping:\n      when: a\n"
        "  handlers:\n    - name: h\n      ping:\n",
        "sub/p.yml",
    )
    plays = load(
        "- import_playbook: sub/p.yml\n  when: b\n  tags: t\n  vars: {x: 2}\n- hosts: c\n"
    ).plays
    assert [play.path for play in plays] == ["0", "1"]
    assert (plays[0].tags, plays[0].vars) == (("t", "own"), {"x": 2, "y": 1})
    assert plays[0].tasks[0].when == ("b", "a")
    assert plays[0].handlers[0].when == ()
    assert plays[0].folder == Path("sub")


def test_a_file_in_the_overlay_replaces_the_shipped_one(write: Write) -> None:
    write("- import_playbook: verify.yml\n", "shipped/upgrade.yml")
    write("- hosts: shipped\n", "shipped/verify.yml")
    write("- hosts: mine\n", "mine/verify.yml")
    upgrade = Path("shipped/upgrade.yml")
    assert load_runbook(upgrade, CATALOG).plays[0].hosts == "shipped"
    assert load_runbook(upgrade, CATALOG, overlay=[Path("mine")]).plays[0].hosts == "mine"


def test_a_literal_include_is_read_before_the_run(load: Load, write: Write) -> None:
    write("- ping:\n", "in.yml")
    runbook = load("- hosts: a\n  tasks:\n    - include_tasks: in.yml\n")
    assert first(runbook).args == {"file": "in.yml"}
    assert Path("in.yml") in runbook.files


def test_the_tasks_of_an_include_continue_its_path(write: Write) -> None:
    nodes = load_tasks(write("- ping:\n- block: [ping: ]\n", "in.yml"), CATALOG, "0.4")
    assert every(nodes) == ["0.4.0", "0.4.1", "0.4.1.0"]


def test_files_of_variables_are_looked_at(load: Load, write: Write) -> None:
    write("a: 1\n", "v.yml")
    runbook = load("- hosts: a\n  vars_files: [v.yml, '{{ x }}.yml']\n")
    assert runbook.plays[0].vars_files == ("v.yml", "{{ x }}.yml")
    assert load_vars(Path("v.yml")) == {"a": 1}
    with pytest.raises(UsageError, match="a file of variables is a mapping"):
        load_vars(write("- a\n", "l.yml"))


def test_the_tasks_folder_is_searched_too(load: Load, write: Write) -> None:
    write("- ping:\n", "tasks/in.yml")
    assert load("- hosts: a\n  tasks:\n    - import_tasks: in.yml\n").files[1] == Path(
        "tasks/in.yml"
    )


def test_literal_templates_load_without_being_rendered(load: Load) -> None:
    task = one(load, "copy: {dest: '/x', content: '{{ lookup(\"file\", \"nope\") }}'}")
    assert task.args["content"] == '{{ lookup("file", "nope") }}'
