"""Real machines: that they come up as promised, keep what they wrote, and go away."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from nbops.base.errors import LabError
from nbops.lab import cgroups
from nbops.lab.events import LabStep
from nbops.lab.lab import Lab, list_labs
from nbops.lab.layout import Wish
from nbops.lab.network import RANGE
from nbops.lab.state import CACHE, STATE_ROOT, read_record
from tests.lab.rehearsal import Rehearsal, traces

pytestmark = pytest.mark.lab

UP_ALONE = Path(__file__).with_name("up_alone.py")
HOSTS = ["registry", "lb", "db", "cache", "node1", "node2"]
NewLab = Callable[..., Rehearsal]


@pytest.mark.parametrize("host", HOSTS)
def test_every_machine_is_reached_as_root_by_its_own_name(two_nodes: Rehearsal, host: str) -> None:
    assert two_nodes.on(host, "id -un; hostname").split() == ["root", host]


def test_every_machine_has_an_identity_of_its_own(two_nodes: Rehearsal) -> None:
    seen = [two_nodes.on(host, "cat /etc/machine-id /etc/ssh/*_key.pub") for host in HOSTS]
    assert len(set(seen)) == len(HOSTS)


def test_a_strange_host_key_is_refused(two_nodes: Rehearsal, tmp_path: Path) -> None:
    record = read_record(two_nodes.lab.folders)
    assert record is not None
    lb, db = (next(m for m in record.machines if m.host == host) for host in ("lb", "db"))
    known = two_nodes.lab.folders.known_hosts.read_text(encoding="ascii")
    wrong = next(line for line in known.splitlines() if line.startswith(db.address))
    (tmp_path / "known_hosts").write_text(wrong.replace(db.address, lb.address), encoding="ascii")
    command = [
        word.replace(str(two_nodes.lab.folders.known_hosts), str(tmp_path / "known_hosts"))
        for word in two_nodes.lab.ssh_command(lb)
    ]
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


@pytest.mark.parametrize(
    ("host", "program", "version"),
    [
        ("db", "/usr/lib/postgresql/17/bin/postgres --version", "17."),
        ("db", "mariadbd --version", "11.8"),
        ("cache", "redis-server --version", "v=8."),
        ("lb", "nginx -v 2>&1", "1.26"),
        ("lb", "haproxy -v", "3.0"),
        ("node1", "docker compose version", "2.26"),
        ("node1", "node --version", "v20."),
    ],
)
def test_services_are_there_in_the_versions_of_debian_13(
    two_nodes: Rehearsal, host: str, program: str, version: str
) -> None:
    assert version in two_nodes.on(host, program)


@pytest.mark.parametrize(
    ("host", "unit", "state"),
    [
        ("db", "postgresql", "inactive"),
        ("cache", "redis-server", "inactive"),
        ("lb", "nginx", "inactive"),
        ("lb", "haproxy", "inactive"),
        ("lb", "docker", "inactive"),
        ("node1", "docker", "active"),
        ("registry", "docker-registry", "active"),
    ],
)
def test_only_docker_and_the_registry_run_unbidden(
    two_nodes: Rehearsal, host: str, unit: str, state: str
) -> None:
    assert two_nodes.on(host, f"systemctl is-active {unit} || true").strip() == state


def test_postgresql_is_ready_to_be_started_in_utf_8_on_its_usual_port(
    two_nodes: Rehearsal,
) -> None:
    two_nodes.on("db", "systemctl start postgresql")
    shown = two_nodes.on("db", "su postgres -c 'psql -p 5432 -tAc \"show server_encoding\"'")
    two_nodes.on("db", "systemctl stop postgresql")
    assert shown.strip() == "UTF8"


def test_docker_runs_containers_in_a_node(two_nodes: Rehearsal) -> None:
    folder = "$(mktemp -d)"
    two_nodes.on(
        "node1",
        f"set -e; cd {folder}; mkdir bin; cp /bin/bash bin/sh;"
        " for l in $(ldd /bin/bash | grep -o '/[^ ]*'); do install -D $l .$l; done;"
        " tar c . | docker import - probe",
    )
    run = "docker run --rm --memory 64m --pids-limit 50 probe /bin/sh -c 'echo from a container'"
    assert two_nodes.on("node1", run).strip() == "from a container"
    assert "probe" not in two_nodes.on("node2", "docker images")


def test_nodes_trust_the_registry_and_reach_it(two_nodes: Rehearsal) -> None:
    shown = two_nodes.on("node2", "docker info --format '{{json .RegistryConfig.IndexConfigs}}'")
    record = read_record(two_nodes.lab.folders)
    assert record is not None
    address = f"{record.machines[0].address}:5000"
    assert json.loads(shown)[address]["Secure"] is False
    assert two_nodes.on("node2", f"curl -fsS http://{address}/v2/").strip() == "{}"


def test_nodes_share_the_storage_and_nothing_else(two_nodes: Rehearsal) -> None:
    two_nodes.on("node1", "echo shared > /srv/nocobase/storage/a; echo own > /srv/nocobase/b")
    assert two_nodes.on("node2", "cat /srv/nocobase/storage/a").strip() == "shared"
    assert two_nodes.on("node2", "ls /srv/nocobase").split() == ["storage"]


def test_machines_know_each_other_by_name(two_nodes: Rehearsal) -> None:
    two_nodes.on("node1", "ping -c1 -W2 db && ping -c1 -W2 cache && ping -c1 -W2 lb")


def test_nothing_leaves_the_box(two_nodes: Rehearsal) -> None:
    assert "default" not in two_nodes.on("node1", "ip route")
    with pytest.raises(OSError, match=r"unreachable|Invalid argument"):
        socket.create_connection((str(RANGE[-2]), 80), timeout=3)


def test_the_inventory_is_for_root_alone_and_was_told(two_nodes: Rehearsal) -> None:
    inventory = two_nodes.lab.folders.inventory
    assert stat.S_IMODE(inventory.stat().st_mode) == 0o600
    assert stat.S_IMODE(two_nodes.lab.folders.root.stat().st_mode) == 0o700
    told = {event.name for event in two_nodes.events if isinstance(event, LabStep)}
    assert set(HOSTS) <= told


def test_up_again_in_the_same_shape_says_so_and_changes_nothing(two_nodes: Rehearsal) -> None:
    inventory = two_nodes.lab.folders.inventory
    before = inventory.stat()
    two_nodes.events.clear()
    assert two_nodes.lab.up(Wish(nodes=2, app="sample")) == inventory
    after = inventory.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    (event,) = two_nodes.events
    assert isinstance(event, LabStep)
    assert "is up already" in event.message


@pytest.mark.parametrize(
    "wish", [Wish(nodes=1), Wish(app="nocobase"), Wish(balancers=2), Wish(nodes=3, runtime="pm2")]
)
def test_up_in_another_shape_is_refused_with_the_way_out(two_nodes: Rehearsal, wish: Wish) -> None:
    with pytest.raises(LabError, match="stands with 2 nodes") as caught:
        two_nodes.lab.up(wish)
    assert "nbops lab down --name" in (caught.value.problems[0].hint or "")


def test_other_logins_than_root_are_there_with_and_without_sudo(two_nodes: Rehearsal) -> None:
    password = two_nodes.lab.folders.sudo_password.read_text(encoding="ascii").strip()
    may = "runuser -u {} -- sudo -k -S id -un <<< {} 2>&1 || true"
    seen = {
        login: two_nodes.on("node1", f"bash -c '{may.format(login, password)}'")
        for login in ("ops", "duty", "guest")
    }
    assert "root" in seen["ops"].split()
    assert "root" in seen["duty"].split()
    assert "root" not in seen["guest"].split()
    assert "root" not in two_nodes.on(
        "node1", "runuser -u duty -- sudo -k -n id -un 2>/dev/null || true"
    )


def test_a_node_is_added_to_a_lab_that_stands(new_lab: NewLab) -> None:
    rehearsal = new_lab()
    folders = rehearsal.lab.folders
    rehearsal.lab.up(Wish(nodes=1, app="sample", redis="separate"))
    boot = rehearsal.on("node1", "cat /proc/sys/kernel/random/boot_id")
    kept = {path: path.read_text() for path in [folders.key, *folders.secrets.iterdir()]}
    assert rehearsal.lab.up(Wish(nodes=2)) == folders.inventory
    assert rehearsal.on("node2", "hostname").strip() == "node2"
    assert rehearsal.on("node1", "cat /proc/sys/kernel/random/boot_id") == boot
    assert {path: path.read_text() for path in kept} == kept
    assert "node2" in folders.inventory.read_text(encoding="utf-8")
    assert "node2" in rehearsal.on("lb", "getent hosts node2")
    with pytest.raises(LabError, match="stands with 2 nodes"):
        rehearsal.lab.up(Wish(nodes=1))
    rehearsal.lab.down()


def test_status_tells_every_machine_and_is_plain_data(two_nodes: Rehearsal) -> None:
    status = two_nodes.lab.status()
    assert status.complete
    assert {m.host for m in status.machines if m.running} == set(HOSTS)
    assert json.loads(json.dumps(asdict(status)))["nodes"] == 2


def test_ssh_gives_back_the_status_of_the_command(two_nodes: Rehearsal) -> None:
    assert two_nodes.lab.ssh("lb", ["exit 7"]) == 7
    assert two_nodes.lab.ssh("lb", ["test", "two words", "=", "two words"]) == 0


def test_a_lab_that_is_not_there_is_said() -> None:
    for use in (Lab("t-none", print).status, Lab("t-none", print).down):
        with pytest.raises(LabError, match="there is no lab 't-none'"):
            use()
    assert not (STATE_ROOT / "t-none").exists()


def test_a_restarted_node_keeps_its_files_and_is_another_boot(two_nodes: Rehearsal) -> None:
    boot = two_nodes.on("node1", "cat /proc/sys/kernel/random/boot_id")
    two_nodes.on("node1", "docker volume create kept; echo kept > /root/kept; sync")
    two_nodes.lab.restart("node1")
    assert two_nodes.on("node1", "cat /root/kept").strip() == "kept"
    assert "kept" in two_nodes.on("node1", "docker volume ls -q")
    assert two_nodes.on("node1", "cat /proc/sys/kernel/random/boot_id") != boot


def test_a_machine_comes_back_from_a_reboot_of_its_own(two_nodes: Rehearsal) -> None:
    boot = two_nodes.on("lb", "cat /proc/sys/kernel/random/boot_id")
    two_nodes.on("lb", "systemd-run -q sh -c 'sleep 0.3; systemctl reboot'")
    until = time.monotonic() + 40
    while time.monotonic() < until:
        try:
            if two_nodes.on("lb", "cat /proc/sys/kernel/random/boot_id") != boot:
                return
        except AssertionError:
            time.sleep(0.3)
    pytest.fail(two_nodes.log("lb"))


def test_up_starts_a_machine_that_was_switched_off(two_nodes: Rehearsal) -> None:
    two_nodes.on("node2", "echo kept > /root/kept; systemd-run -q sh -c 'sleep 0.3; poweroff'")
    until = time.monotonic() + 30
    while _runs(two_nodes, "node2") and time.monotonic() < until:
        time.sleep(0.1)
    assert not _runs(two_nodes, "node2")
    two_nodes.lab.up(Wish(nodes=2, app="sample"))
    assert two_nodes.on("node2", "cat /root/kept").strip() == "kept"


UNIFIED = """\
set -eu
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
"$PYTHON" "$UP_ALONE" "$NAME" 1 "$IMAGES" "$CACHE"
"$PYTHON" -m nbops lab ssh --name "$NAME" node1 "docker info --format '{{.CgroupVersion}}'"
"$PYTHON" -m nbops lab down --name "$NAME"
"""


@pytest.mark.skipif(
    cgroups.read_hierarchies().mode is cgroups.Mode.UNIFIED,
    reason="this box has the unified hierarchy: all tests here are of it",
)
def test_machines_come_up_on_the_unified_hierarchy_too(new_lab: NewLab, no_images: Path) -> None:
    rehearsal = new_lab()
    settings = {
        "PYTHON": sys.executable,
        "UP_ALONE": str(UP_ALONE),
        "NAME": rehearsal.lab.name,
        "IMAGES": str(no_images),
        "CACHE": str(CACHE),
    }
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", UNIFIED],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "2"
    assert traces(rehearsal.lab.name, None) == []


def test_what_a_machine_logged_can_be_read_on_the_box(two_nodes: Rehearsal) -> None:
    two_nodes.on("cache", "logger -t probe seen on the box")
    until = time.monotonic() + 10
    while "seen on the box" not in two_nodes.lab.machine_log("cache"):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_two_labs_stand_side_by_side_and_the_second_is_up_in_a_minute(
    two_nodes: Rehearsal, new_lab: NewLab
) -> None:
    other = new_lab()
    began = time.monotonic()
    other.lab.up(Wish(nodes=1, app="sample"))
    assert time.monotonic() - began < 60
    assert other.lab.status().network != two_nodes.lab.status().network
    other.on("node1", "echo other > /srv/nocobase/storage/whose")
    two_nodes.on("node1", "test ! -e /srv/nocobase/storage/whose")
    other.lab.down()
    assert two_nodes.on("node1", "hostname").strip() == "node1"
    assert other.lab.name not in list_labs()


def test_a_lab_that_was_hardly_begun_has_a_status_and_can_be_removed(new_lab: NewLab) -> None:
    rehearsal = new_lab()
    rehearsal.lab.folders.root.mkdir(mode=0o700, parents=True)
    status = rehearsal.lab.status()
    assert (status.name, status.complete, status.machines) == (rehearsal.lab.name, False, ())
    rehearsal.lab.down()
    assert traces(rehearsal.lab.name, None) == []


def test_down_leaves_nothing(new_lab: NewLab) -> None:
    rehearsal = new_lab()
    rehearsal.lab.up(Wish(nodes=1, app="sample"))
    rehearsal.on("node1", "docker volume create some; sleep 300 > /dev/null 2>&1 &")
    record = read_record(rehearsal.lab.folders)
    assert record is not None
    rehearsal.lab.down()
    assert traces(rehearsal.lab.name, record.subnet) == []


@pytest.mark.parametrize("milliseconds", [150, 400, 700, 1000, 1500, 2000, 2700, 3500, 4500])
def test_down_leaves_nothing_of_an_up_that_was_killed(
    new_lab: NewLab, no_images: Path, milliseconds: int
) -> None:
    rehearsal = new_lab()
    up = _up_alone(rehearsal.lab.name, no_images)
    time.sleep(milliseconds / 1000)
    up.send_signal(signal.SIGKILL)
    up.wait()
    folders = rehearsal.lab.folders
    record = read_record(folders) if folders.root.is_dir() else None
    if rehearsal.lab.name in list_labs():
        rehearsal.lab.down()
    assert traces(rehearsal.lab.name, record.subnet if record else None) == []


@pytest.mark.parametrize("milliseconds", [50, 300, 600])
def test_a_killed_down_is_finished_by_the_next(new_lab: NewLab, milliseconds: int) -> None:
    rehearsal = new_lab()
    rehearsal.lab.up(Wish(nodes=1, app="sample"))
    record = read_record(rehearsal.lab.folders)
    assert record is not None
    code = f"from nbops.lab.lab import Lab\nLab('{rehearsal.lab.name}', lambda event: None).down()"
    down = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 60
    while rehearsal.lab.folders.inventory.exists():
        assert down.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(milliseconds / 1000)
    down.kill()
    down.wait()
    if rehearsal.lab.name in list_labs():
        rehearsal.lab.down()
    assert traces(rehearsal.lab.name, record.subnet) == []


def test_a_killed_build_of_the_base_tree_leaves_nothing(
    new_lab: NewLab, no_images: Path, tmp_path: Path
) -> None:
    rehearsal = new_lab(tmp_path)
    up = _up_alone(rehearsal.lab.name, no_images, tmp_path)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("building-*/root/debootstrap")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)
    up.send_signal(signal.SIGKILL)
    up.wait()
    rehearsal.lab.down()
    assert [path.name for path in tmp_path.iterdir()] == ["base.log"]
    assert str(tmp_path) not in _all_commands()


def test_up_clears_away_an_up_that_was_killed(new_lab: NewLab, no_images: Path) -> None:
    rehearsal = new_lab()
    up = _up_alone(rehearsal.lab.name, no_images)
    until = time.monotonic() + 30
    while not rehearsal.lab.folders.known_hosts.exists() and time.monotonic() < until:
        time.sleep(0.02)
    up.send_signal(signal.SIGKILL)
    up.wait()
    rehearsal.lab.up(Wish(nodes=1, app="sample"))
    assert any("interrupted" in str(event) for event in rehearsal.events)
    assert rehearsal.on("node1", "hostname").strip() == "node1"
    rehearsal.lab.down()


def test_down_ends_no_process_but_the_labs_own(new_lab: NewLab) -> None:
    rehearsal = new_lab()
    rehearsal.lab.up(Wish(nodes=1, app="sample"))
    inventory = str(rehearsal.lab.folders.inventory)
    editor = subprocess.Popen(["sh", "-c", "sleep 60; true", inventory])
    try:
        rehearsal.lab.down()
        assert editor.poll() is None
    finally:
        editor.kill()
        editor.wait()


def test_down_while_up_is_at_work_is_refused(new_lab: NewLab, no_images: Path) -> None:
    rehearsal = new_lab()
    up = _up_alone(rehearsal.lab.name, no_images)
    until = time.monotonic() + 30
    while not rehearsal.lab.folders.record.exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(up.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LabError, match="another command is working on the lab"):
            rehearsal.lab.down()
    finally:
        os.kill(up.pid, signal.SIGCONT)
    assert up.wait(timeout=90) == 0
    rehearsal.lab.down()


def test_up_ends_with_the_inventorys_path_and_lets_go_of_its_output(
    new_lab: NewLab, no_images: Path
) -> None:
    rehearsal = new_lab()
    output, _ = _up_alone(rehearsal.lab.name, no_images).communicate(timeout=120)
    assert output.splitlines()[-1] == str(rehearsal.lab.folders.inventory)
    rehearsal.lab.down()


def _up_alone(name: str, images: Path, cache: Path = CACHE) -> subprocess.Popen[str]:
    command = [sys.executable, UP_ALONE, name, "1", images, cache]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _runs(rehearsal: Rehearsal, host: str) -> bool:
    return next(m for m in rehearsal.lab.status().machines if m.host == host).running


def _all_commands() -> str:
    return subprocess.run(["ps", "axwwe"], capture_output=True, text=True, check=True).stdout
