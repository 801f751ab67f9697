"""The JSON Schema accepts what loads, and refuses what an editor should mark."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nbops.cli import wire
from nbops.runbook.lint import lint
from nbops.runbook.load import load_runbook
from nbops.runbook.schema import runbook_schema
from tests.runbook.conftest import CATALOG

Write = Callable[..., Path]

RUNBOOKS = Path(__file__).parents[2] / "runbooks"

GOOD = """
- name: All of it
  hosts: [app, db]
  serial: [1, "50%"]
  become: yes
  environment: {A: "{{ x }}"}
  vars: {x: 1}
  pre_tasks: [ping: ]
  tasks:
    - name: Commands
      command: uptime chdir=/tmp
      when: [a == 1, true]
      register: r
      until: r.rc == 0
      retries: "{{ n }}"
      delay: 1.5
      tags: [a, 2]
    - ansible.builtin.shell: {cmd: ls, chdir: "{{ d }}"}
      args: {creates: /x}
      loop: "{{ l }}"
      loop_control: {label: x, pause: 1}
    - copy: {dest: /x, mode: 0644}
      notify: [h]
      retry: {attempts: 3, backoff: exponential}
      rollback: [command: undo]
    - copy: dest=/x content=y
    - copy: {src: a}
      args: {dest: /x}
    - copy: "{{ all }}"
    - debug: {msg: [1], verbosity: "{{ v }}"}
    - set_fact: {anything: {at: all}}
    - assert: {that: [a, b]}
    - action: command ls
    - import_tasks: in.yml
    - include_tasks: {file: "{{ f }}"}
    - block: [ping: ]
      rescue: []
      always:
      rescue_unreachable: true
      vars: {y: 2}
    - ping:
      vars:
      become: "{{ b }}"
      ignore_errors: "yes"
  handlers:
    - name: h
      ping:
      listen: other
- import_playbook: p.yml
  when: x
- hosts: a
"""

BAD = {
    "a play without hosts": "- tasks: []",
    "no list": "hosts: a",
    "a misspelt keyword of a play": "- hosts: a\n  taks: []",
    "a misspelt keyword of a task": "- hosts: a\n  tasks: [{ping: , nmae: x}]",
    "a misspelt action": "- hosts: a\n  tasks: [{pong: }]",
    "a task without an action": "- hosts: a\n  tasks: [{name: x}]",
    "an unknown argument": "- hosts: a\n  tasks: [{copy: {dest: /x, sorce: y}}]",
    "a missing argument": "- hosts: a\n  tasks: [{copy: {src: y}}]",
    "a keyword in the wrong place": "- hosts: a\n  tasks: [{ping: , serial: 1}]",
    "no truth value": "- hosts: a\n  become: maybe",
    "no variable's name": "- hosts: a\n  tasks: [{ping: , register: a-b}]",
    "a loop over a word": "- hosts: a\n  tasks: [{ping: , loop: xs}]",
    "an unknown order": "- hosts: a\n  order: random",
    "a keyword of Ansible that is not supported": "- hosts: a\n  roles: [x]",
    "an unknown part of loop_control": "- hosts: a\n  tasks: [{ping: , loop_control: {x: 1}}]",
}


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = runbook_schema(CATALOG)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_what_loads_is_valid(validator: Any, write: Write) -> None:
    write("- ping:\n", "in.yml")
    write("- hosts: b\n", "p.yml")
    assert load_runbook(write(GOOD), CATALOG)
    faults = [fault.message for fault in validator.iter_errors(yaml.safe_load(GOOD))]
    assert not faults


@pytest.mark.parametrize("what", list(BAD))
def test_what_an_editor_should_mark(what: str, validator: Any) -> None:
    assert not validator.is_valid(yaml.safe_load(BAD[what])), what


@pytest.fixture(scope="module")
def shipped() -> Any:
    schema = runbook_schema(wire.catalog())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_example_of_every_action_is_valid_and_loads(shipped: Any, write: Write) -> None:
    for spec in wire.catalog():
        tasks = yaml.safe_load(spec.example)
        faults = [fault.message for fault in shipped.iter_errors([{"hosts": "a", "tasks": tasks}])]
        assert not faults, (spec.name, faults)
        if spec.name != "include_tasks":
            for name in re.findall(r"\S+\.(?:sh|j2|conf)\b", spec.example):
                write("", name.lstrip("/"))
            lines = "".join(f"    {line}\n" for line in spec.example.splitlines())
            assert load_runbook(write(f"- hosts: a\n  tasks:\n{lines}"), wire.catalog())


@pytest.mark.parametrize("path", sorted(RUNBOOKS.rglob("*.yml")), ids=lambda path: path.name)
def test_the_shipped_runbooks_are_valid(path: Path, shipped: Any) -> None:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    plays = all("hosts" in one or "import_playbook" in one for one in data)
    whole = data if plays else [{"hosts": "a", "tasks": data}]
    assert not [fault.message for fault in shipped.iter_errors(whole)]
    if plays:
        runbook = load_runbook(path, wire.catalog())
        assert not lint(runbook, wire.catalog())


def test_every_reference_leads_somewhere() -> None:
    schema = runbook_schema(wire.catalog())
    names = set(schema["$defs"])
    assert {ref.removeprefix("#/$defs/") for ref in references(schema)} <= names


def references(shape: Any) -> list[str]:
    if isinstance(shape, dict):
        own = [shape["$ref"]] if isinstance(shape.get("$ref"), str) else []
        return own + [ref for one in shape.values() for ref in references(one)]
    if isinstance(shape, list):
        return [ref for one in shape for ref in references(one)]
    return []
