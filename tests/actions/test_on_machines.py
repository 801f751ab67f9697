"""`systemd`, `service`, `user` and `apt` on a real machine: what they say, and what is so then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.cluster import Cluster, new_cluster

pytestmark = pytest.mark.lab

UNIT = """[Unit]
Description=probe
[Service]
ExecStart=/bin/sleep 100000
ExecReload=/bin/touch /run/probe-reloaded
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One machine."""
    cluster = new_cluster(tmp_path_factory.mktemp("actions"))
    try:
        cluster.up(app="sample", nodes=1)
        yield cluster
    finally:
        cluster.down()


def play(machine: Cluster, *tasks: dict[str, Any], check: bool = False) -> list[dict[str, Any]]:
    """What each task gave on the app's machine, as root."""
    named = [{"name": f"t{number}", **task} for number, task in enumerate(tasks)]
    book = machine.home / "play.yml"
    hosts = {"hosts": "app", "become": True, "gather_facts": False, "ignore_errors": True}
    book.write_text(yaml.safe_dump([{**hosts, "tasks": named}]))
    more = ["--check"] if check else []
    done = machine.nbops("run", str(book), "-i", str(machine.inventory), "--json", *more)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    results = [one["result"] for one in events if one.get("kind") == "step_ended"]
    assert len(results) == len(tasks), done.stdout + done.stderr
    return results


def node(machine: Cluster) -> str:
    """The name of the app's machine."""
    groups = yaml.safe_load(machine.inventory.read_text())["all"]["children"]
    return str(next(iter(groups["app"]["hosts"])))


def unit(machine: Cluster) -> tuple[str, str]:
    """What systemd itself says of the unit: whether it runs, whether it is enabled."""
    line = "systemctl is-active probe; systemctl is-enabled probe; true"
    active, enabled = machine.on(node(machine), line).split()[:2]
    return active, enabled


def changed(results: list[dict[str, Any]]) -> list[bool]:
    """Which of them changed something; none may have failed."""
    assert not [one for one in results if one["failed"]], results
    return [one["changed"] for one in results]


def test_units_are_what_systemd_says_they_are(machine: Cluster) -> None:
    path = "/etc/systemd/system/probe.service"
    copied = {"copy": {"content": UNIT, "dest": path}}
    rest = {"systemd": {"name": "probe", "state": "stopped", "enabled": False}}
    play(machine, copied, {"systemd": {"daemon_reload": True}}, rest)
    first = play(machine, {"systemd": {"name": "probe", "state": "started", "enabled": True}},
                 check=True)  # fmt: skip
    assert changed(first) == [True]
    assert unit(machine) == ("inactive", "disabled")
    steps: list[tuple[dict[str, Any], list[bool], tuple[str, str]]] = [
        ({"state": "started", "enabled": True}, [True, False], ("active", "enabled")),
        ({"state": "restarted"}, [True, True], ("active", "enabled")),
        ({"state": "reloaded"}, [True, True], ("active", "enabled")),
        ({"state": "stopped"}, [True, False], ("inactive", "enabled")),
        ({"enabled": False}, [True, False], ("inactive", "disabled")),
    ]
    for action in ("systemd", "service"):
        for wanted, changes, state in steps:
            task = {action: {"name": "probe", **wanted}}
            assert changed(play(machine, task, task)) == changes, (action, wanted)
            assert unit(machine) == state, (action, wanted)
    assert machine.on(node(machine), "ls /run/probe-reloaded").strip() == "/run/probe-reloaded"


def test_a_masked_unit_cannot_be_started(machine: Cluster) -> None:
    old = {"file": {"path": "/etc/systemd/system/probe.service", "state": "absent"}}
    new = {"copy": {"content": UNIT, "dest": "/usr/lib/systemd/system/probe.service"}}
    rest = {"systemd": {"name": "probe", "state": "stopped"}}
    play(machine, old, new, {"systemd": {"daemon_reload": True, "daemon_reexec": True}}, rest)
    task = {"systemd": {"name": "probe", "masked": True}}
    assert changed(play(machine, task, task)) == [True, False]
    (refused,) = play(machine, {"systemd": {"name": "probe", "state": "started"}})
    assert refused["failed"]
    assert "masked" in refused["msg"]
    task = {"systemd": {"name": "probe", "masked": False}}
    assert changed(play(machine, task, task)) == [True, False]
    (unknown,) = play(machine, {"service": {"name": "no-such-unit", "state": "started"}})
    assert unknown["failed"]
    assert "no-such-unit" in unknown["msg"]


def test_accounts_are_made_changed_and_removed(machine: Cluster) -> None:
    made = {"name": "probe", "shell": "/bin/sh", "comment": "a, 'b'", "groups": ["daemon"]}
    assert changed(play(machine, {"user": made}, check=True)) == [True]
    assert changed(play(machine, {"user": made}, {"user": made})) == [True, False]
    row = machine.on(node(machine), "getent passwd probe; id -Gn probe; stat -c %U /home/probe")
    assert row.splitlines()[0].endswith(":a, 'b':/home/probe:/bin/sh")
    assert row.splitlines()[1:] == ["probe daemon", "probe"]
    more = {"name": "probe", "groups": ["bin"], "append": True, "home": "/srv/p", "move_home": True}
    assert changed(play(machine, {"user": more}, {"user": more})) == [True, False]
    assert machine.on(node(machine), "id -Gn probe; ls -d /srv/p").split() == [
        "probe", "daemon", "bin", "/srv/p",
    ]  # fmt: skip
    gone = {"user": {"name": "probe", "state": "absent", "remove": True}}
    assert changed(play(machine, gone, gone)) == [True, False]
    assert (
        machine.on(node(machine), "getent passwd probe; ls -d /srv/p 2>/dev/null; true").strip()
        == ""
    )


def test_packages_are_removed_and_found_missing(machine: Cluster) -> None:
    name = "haproxy"
    gone = {"apt": {"name": name, "state": "absent"}}
    assert changed(play(machine, gone, check=True)) == [True]
    assert changed(play(machine, gone, gone)) == [True, False]
    status = machine.on(node(machine), f"dpkg-query -W -f '${{Status}}' {name}; true")
    assert "ok installed" not in status
    (missing,) = play(machine, {"apt": {"name": "no-such-package"}})
    assert missing["msg"] == "No package matching 'no-such-package' is available"
