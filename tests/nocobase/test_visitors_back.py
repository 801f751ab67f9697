"""Visitors are let in: to whom, and what becomes of a run that ends meanwhile: it is killed, cut
off, or the app does not answer.

A real run on this machine, with the user's own balancer: two commands, and an address that
answers as they left it.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.runbook.expr import Templar

SETTINGS = """
cluster: demo
version: 2.2.16
runtime: {kind: compose, port: NODE}
upgrade: {min_nodes: 2}
balancer:
  kind: external
  address: "http://127.0.0.1:DOOR"
  commands:
    maintenance: sh -c 'touch page'
    traffic: sh -c 'rm -f page; echo in >> log; echo $NBOPS_HOSTS > told'
"""
PLAY = """
- hosts: node1
  gather_facts: false
  tasks:
    - name: the database changes
      shell: echo changed >> FOLDER/log
      rollback:
        - shell: echo restored >> FOLDER/log
    - name: visitors come back
      balancer_maintenance: {state: off}
      delegate_to: localhost
    - name: the record
      shell: echo recorded >> FOLDER/log; test ! -e FOLDER/fault
      rollback:
        - shell: echo struck >> FOLDER/log
"""
# The command line, with a fault at the job that lets visitors in.
FAULTY = """
import os, signal, sys
from nbops.base.errors import ConnectionLost
from nbops.cli.main import main
from nbops.nocobase.steps import balancer
from nbops.transport.host import HostSession

balancer._ANSWERS = 1.0
fault, real = sys.argv.pop(1), HostSession._job

def job(self, command, *rest):
    letting_in = "echo in" in command.text()
    if letting_in and fault == "killed before":
        os.kill(os.getpid(), signal.SIGKILL)
    status = real(self, command, *rest)
    if letting_in and fault == "killed after":
        os.kill(os.getpid(), signal.SIGKILL)
    if letting_in and fault == "cut off":
        raise ConnectionLost("the cable is out")
    return status

HostSession._job = job
main()
"""


@dataclass
class Desk:
    """A computer with nbops, and a cluster of which only the balancer's address is there."""

    folder: Path
    door: int = 0
    node: int = 0
    app: int = 200

    def answer(self, port: int) -> int:
        """What a visitor gets; or who asks the node itself."""
        if port == self.node:
            return 200
        return 503 if (self.folder / "page").exists() else self.app

    def nbops(self, *words: str, fault: str = "none", told: str = "--plain") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", FAULTY, fault, *words, told],
            cwd=self.folder,
            env=os.environ | {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def run(self, fault: str = "none") -> tuple[int, str]:
        return self.play(yaml.safe_load(PLAY.replace("FOLDER", str(self.folder))), fault)

    def play(self, plays: list[dict[str, Any]], fault: str = "none") -> tuple[int, str]:
        """Run plays with the cluster's settings, which the inventory does not have: there is
        nothing to lock."""
        text = SETTINGS.replace("DOOR", str(self.door)).replace("NODE", str(self.node))
        for play in plays:
            play["vars"] = play.get("vars", {}) | {"nocobase": yaml.safe_load(text)}
        (self.folder / "play.yml").write_text(yaml.safe_dump(plays))
        return self.nbops("run", "play.yml", fault=fault)

    def log(self) -> list[str]:
        return (self.folder / "log").read_text().split()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)

    class Door(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, http.server.HTTPServer)
            status = made.answer(self.server.server_port)
            self.send_response(status)
            if status == 503:
                self.send_header("Retry-After", "30")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door) for _ in range(2)]
    made.door, made.node = (server.server_port for server in servers)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "page").touch()
    (tmp_path / "inventory.yml").write_text(
        "all: {children: {app: {hosts: {node1: , node2: , node3: }}, balancer: , nocobase_first:"
        " {hosts: {node1: }}}, vars: {ansible_connection: local, ansible_host: 127.0.0.1}}\n"
    )
    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("when", ["killed before", "killed after"])
def test_a_run_that_was_killed_while_it_let_visitors_in_goes_on_and_is_not_undone(
    desk: Desk, when: str
) -> None:
    assert desk.run(when)[0] == -9
    code, out = desk.nbops("abort")
    assert code == 2
    assert "`nbops resume " in out
    assert "`nbops rollback` goes back and says what is lost" in out
    assert "restored" not in desk.log()
    code, out = desk.nbops("resume")
    assert (code, desk.log()) == (0, ["changed", "in", "recorded"]), out


def test_when_visitors_do_not_get_the_app_the_page_goes_up_and_all_is_undone(desk: Desk) -> None:
    desk.app = 500
    code, out = desk.run()
    assert code == 3, out
    assert desk.log() == ["changed", "in", "restored"]
    assert desk.answer(desk.door) == 503


def test_a_connection_that_is_lost_while_visitors_are_let_in_undoes_nothing(desk: Desk) -> None:
    code, out = desk.run("cut off")
    assert code == 1
    assert desk.log() == ["changed", "in"]
    assert "nothing was undone" in out
    assert "`nbops resume " in out
    code, out = desk.nbops("resume")
    assert (code, desk.log()) == (0, ["changed", "in", "recorded"]), out


def test_who_was_let_in_before_the_kill_keeps_what_he_wrote_but_gets_the_page(desk: Desk) -> None:
    desk.run("killed after")
    desk.app = 500
    code, out = desk.nbops("resume")
    assert code == 1, out
    assert desk.log() == ["changed", "in"]
    assert desk.answer(desk.door) == 503


def test_what_is_begun_when_visitors_are_back_is_undone_and_nothing_of_before(desk: Desk) -> None:
    desk.run("killed after")
    (desk.folder / "fault").touch()
    _, out = desk.nbops("resume")
    assert desk.log() == ["changed", "in", "recorded", "struck"], out


def test_a_run_that_goes_on_tells_when_the_page_was_gone(desk: Desk) -> None:
    desk.run("killed after")
    _, out = desk.nbops("resume", told="--json")
    marks = [one for one in map(json.loads, out.splitlines()) if one["kind"] == "maintenance_mark"]
    assert [(mark["on"], mark["host"]) for mark in marks] == [(False, "localhost")]


def first_visitors(release: Any) -> list[dict[str, Any]]:
    """A deploy that has its balancer configured, and then fails; it knows of this release."""
    tasks = [
        {"name": "the records", "set_fact": {"nocobase_release": release}},
        {
            "name": "a database",
            "shell": "echo made >> log",
            "args": {"chdir": "FOLDER"},
            "rollback": [{"shell": "echo dropped >> log", "args": {"chdir": "FOLDER"}}],
        },
        {"name": "the balancer", "balancer_configure": None, "delegate_to": "localhost"},
        {"name": "a fault", "fail": None},
    ]
    return [{"hosts": "node1", "gather_facts": False, "tasks": tasks}]


def played(desk: Desk, plays: list[dict[str, Any]]) -> tuple[int, str]:
    text = yaml.safe_dump(plays).replace("FOLDER", str(desk.folder))
    return desk.play(yaml.safe_load(text))


def test_what_the_first_visitors_may_work_with_is_not_undone(desk: Desk) -> None:
    (desk.folder / "page").unlink()
    code, out = played(desk, first_visitors(None))
    assert code == 1, out
    assert desk.log() == ["made", "in"]


def test_in_a_cluster_that_serves_already_it_is(desk: Desk) -> None:
    (desk.folder / "page").unlink()
    code, out = played(desk, first_visitors({"number": 1}))
    assert code == 3, out
    assert desk.log() == ["made", "in", "dropped"]


def shipped_end_of_an_upgrade(
    left_out: list[str], verified: tuple[str, ...] = ("node1",)
) -> list[dict[str, Any]]:
    """The plays of the shipped runbooks that let visitors in, after nodes were left out."""
    folder = Path(__file__).parents[2] / "runbooks"
    upgrade = yaml.safe_load((folder / "upgrade.yml").read_text())
    names = [play["name"] for play in upgrade]
    counting = upgrade[names.index("Enough nodes serve to let visitors in")]
    letting_in = upgrade[names.index("Visitors get the new version")]
    plays = yaml.safe_load((folder / f"{letting_in['import_playbook']}").read_text())
    for play in plays:
        play["vars"] = letting_in.get("vars", {})
    leave = {"set_fact": {"nocobase_left_out": True}, "when": f"inventory_hostname in {left_out}"}
    look = {"set_fact": {"verified": {}}, "when": f"inventory_hostname in {list(verified)}"}
    return [{"hosts": "app", "gather_facts": False, "tasks": [look, leave]}, counting, *plays[:2]]


def test_the_users_own_balancer_is_told_of_no_node_that_was_left_out(desk: Desk) -> None:
    code, out = desk.play(shipped_end_of_an_upgrade(["node3"]))
    assert code == 0, out
    assert (desk.folder / "told").read_text().split() == ["node1", "node2"]


@pytest.mark.parametrize(
    ("left_out", "why"),
    [
        (["node2", "node3"], "only 1 of 3 nodes serve"),
        (["node1"], "node1 was verified with 2.2.16, and does not serve it now"),
    ],
)
def test_with_a_balancer_of_the_users_own_enough_nodes_must_serve_too(
    desk: Desk, left_out: list[str], why: str
) -> None:
    code, out = desk.play(shipped_end_of_an_upgrade(left_out))
    assert code == 1, out
    assert why in out
    assert desk.answer(desk.door) == 503


def test_nobody_is_let_in_when_no_node_was_verified(desk: Desk) -> None:
    code, out = desk.play(shipped_end_of_an_upgrade([], verified=()))
    assert code == 1, out
    assert "node1 was not verified with 2.2.16, and does not serve it now" in out
    assert not (desk.folder / "told").exists()


def shipped_begin(name: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The plays of a shipped runbook that put the page up, where this is known, and a failure
    after them."""
    folder = Path(__file__).parents[2] / "runbooks"
    whole = yaml.safe_load((folder / name).read_text())
    (page,) = (play for play in whole if play["name"] == "503 at every balancer")
    plays = yaml.safe_load((folder / f"{page['import_playbook']}").read_text())
    for play in plays:  # there is no release here to aim at
        play["vars"] = {"nocobase_page_stays": page["vars"]["nocobase_page_stays"]}
    first = {"hosts": "app", "gather_facts": False, "tasks": [{"set_fact": facts}]}
    return [first, *plays, {"hosts": "app", "gather_facts": False, "tasks": [{"fail": {}}]}]


def shipped_begin_of_a_restore(pending: dict[str, str] | None) -> list[dict[str, Any]]:
    """That of a restore; another run has left this note."""
    return shipped_begin("restore.yml", {"found": {"pending": pending}})


def undone_by(name: str) -> dict[str, dict[str, Any]]:
    """The tasks by which a shipped runbook is undone, by their names."""
    path = Path(__file__).parents[2] / "runbooks" / name
    parts = yaml.safe_load(path.read_text())
    tasks = [task for part in parts for task in part.get("tasks", [part])]
    return {one["name"]: one for task in tasks for one in task.get("rollback", ())}


def test_a_restore_that_fails_lets_nobody_in_to_a_database_that_another_run_changed(
    desk: Desk,
) -> None:
    note = {"run": "r9", "phase": "upgrade"}
    code, out = desk.play(shipped_begin_of_a_restore(note))
    assert code == 6, out
    assert "run r9 had begun to change the database: 503 stands, and `nbops lock break " in out
    assert desk.answer(desk.door) == 503


@pytest.mark.parametrize("note", [None, {"run": "r9", "phase": "maintenance"}])
def test_a_restore_that_fails_over_a_sound_database_lets_visitors_in_again(
    desk: Desk, note: dict[str, str] | None
) -> None:
    code, out = desk.play(shipped_begin_of_a_restore(note))
    assert code == 3, out
    assert desk.answer(desk.door) == 200


@pytest.mark.parametrize("phase", ["", "maintenance", "upgrade"])
def test_a_restore_that_fails_leaves_the_note_of_another_run(phase: str) -> None:
    """And starts no node on a database that the other run has changed."""
    undo = undone_by("restore.yml")
    found = {"found": {"pending": {"run": "r9", "phase": phase} if phase else None}}

    def holds(name: str) -> object:
        return Templar().condition(undo[name]["when"], found, None)

    assert holds("Strike the note") is (phase == "")
    assert holds("The nodes as they were") is (phase != "upgrade")


@pytest.mark.parametrize(("phase", "code", "page"), [("", 3, 200), ("upgrade", 6, 503)])
def test_a_rollback_that_fails_lets_nobody_in_to_a_cluster_that_was_half_way(
    desk: Desk, phase: str, code: int, page: int
) -> None:
    way = {"nocobase_back": {"from": {"run": "r9", "phase": phase}}}
    told, out = desk.play(shipped_begin("rollback.yml", way))
    assert told == code, out
    assert ("half-way since run r9: 503 stands, and `nbops lock break " in out) is bool(phase)
    assert desk.answer(desk.door) == page


@pytest.mark.parametrize("phase", ["", "maintenance", "upgrade"])
def test_a_rollback_that_fails_leaves_a_note_where_one_was(phase: str) -> None:
    """And starts no node there; else the next rollback would go back from the release before."""
    undo = undone_by("rollback.yml")
    way = {"nocobase_back": {"from": {"run": "r9", "phase": phase}}}
    for name in ("Strike the note", "The nodes as they were"):
        assert Templar().condition(undo[name]["when"], way, None) is (phase == "")


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("upgrade.yml", "Send requests to all nodes, as they were"),
        ("rollback.yml", "Send requests to the nodes of before"),
        ("tasks/close.yml", "Send requests to them"),
    ],
)
def test_a_balancer_that_takes_no_configuration_keeps_no_database_from_going_back(
    name: str, task: str
) -> None:
    assert undone_by(name)[task]["ignore_errors"] is True


def test_a_deploy_that_fails_sends_no_requests_to_nodes_that_it_was_the_first_to_start() -> None:
    configure = undone_by("tasks/close.yml")["Send requests to them"]["balancer_configure"]
    change = {"nocobase_change": {"start": ["node1", "node3", "node2"], "stop": ["node2", "node1"]}}
    assert Templar().render(configure["without"], change) == ["node3"]


def test_visitors_do_not_wait_twice_for_a_node_that_cannot_be_reached() -> None:
    path = Path(__file__).parents[2] / "runbooks" / "upgrade.yml"
    (play,) = (one for one in yaml.safe_load(path.read_text()) if one.get("phase") == "other nodes")
    (block,) = play["tasks"]
    later = {one["name"]: one["when"] for one in block["rescue"] if "when" in one}
    assert set(later) == {"Keep its log", "Stop it"}
    for failed, tried in ({"unreachable": True}, False), ({"failed": True}, True):
        known = {"ansible_failed_result": failed}
        assert all(Templar().condition(one, known, None) is tried for one in later.values())
