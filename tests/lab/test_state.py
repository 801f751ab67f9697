"""What a lab keeps on disk: its record, its inventory, its locks."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from nbops.base.errors import LabError
from nbops.inventory.load import load_inventory
from nbops.lab import inventory
from nbops.lab.cgroups import Hierarchies, Mode
from nbops.lab.layout import App, Shape, Subnet, find_machine
from nbops.lab.locks import folder_lock
from nbops.lab.machine import Site, nspawn, runner
from nbops.lab.shell import last_lines, run
from nbops.lab.state import Folders, Record, read_record, write_file, write_record
from nbops.nocobase.settings import load_settings, read_secrets

RECORD = Record("trial", Subnet(7), Shape(2, App.NOCOBASE, "2.2.15"), "0123456789ab")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(Folders(tmp_path), RECORD)
    assert read_record(Folders(tmp_path)) == RECORD


def test_no_record_is_no_error(tmp_path: Path) -> None:
    assert read_record(Folders(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"nodes": "many"}', "null"])
def test_a_broken_record_says_how_to_go_on(tmp_path: Path, text: str) -> None:
    Folders(tmp_path).record.write_text(text, encoding="utf-8")
    with pytest.raises(LabError) as caught:
        read_record(Folders(tmp_path))
    assert "nbops lab down" in (caught.value.problems[0].hint or "")


def test_the_inventory_has_the_groups_that_mean_something() -> None:
    children = yaml.safe_load(inventory.render(RECORD, Folders(Path("/state"))))["all"]["children"]
    assert {group: list(content["hosts"]) for group, content in children.items()} == {
        "app": ["node1", "node2"],
        "balancer": ["lb"],
        "database": ["db"],
        "redis": ["cache"],
    }
    assert children["app"]["hosts"]["node2"] == {"ansible_host": "198.18.7.12"}


def test_the_inventory_names_image_version_and_secret_files() -> None:
    settings = yaml.safe_load(inventory.render(RECORD, Folders(Path("/state"))))["all"]["vars"]
    nocobase = settings["nocobase"]
    assert (nocobase["cluster"], nocobase["version"]) == ("trial", "2.2.15")
    assert nocobase["image"] == "198.18.7.2:5000/nocobase/nocobase"
    assert nocobase["database"]["password"] == {"file": "secrets/db_password"}


def test_the_inventory_names_the_key_and_the_known_hosts() -> None:
    settings = yaml.safe_load(inventory.render(RECORD, Folders(Path("/state"))))["all"]["vars"]
    assert settings["ansible_user"] == "root"
    assert settings["ansible_ssh_private_key_file"] == "/state/key"
    assert "UserKnownHostsFile=/state/known_hosts" in settings["ansible_ssh_common_args"]


def test_the_inventory_and_its_secrets_pass_the_check_of_settings(tmp_path: Path) -> None:
    inventory.write_secrets(Folders(tmp_path))
    inventory.write(RECORD, Folders(tmp_path))
    settings = load_settings(load_inventory(tmp_path / "inventory.yml"))
    assert settings.app == ("node1", "node2")
    assert settings.common.version == "2.2.15"
    key = read_secrets(settings).of(settings.common.secrets.aes_key)
    assert key.reveal() == (tmp_path / "secrets/aes_key").read_text(encoding="ascii").strip()


def test_inventory_and_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    inventory.write_secrets(Folders(tmp_path))
    inventory.write(RECORD, Folders(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == [
        "aes_key",
        "app_key",
        "db_password",
        "inventory.yml",
        "root_password",
        "sudo_password",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    aes = (tmp_path / "secrets/aes_key").read_text(encoding="ascii").strip()
    assert len(bytes.fromhex(aes)) == 32


def test_secrets_are_drawn_anew_for_every_lab(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        inventory.write_secrets(Folders(tmp_path / name))
    one, two = (tmp_path / name / "secrets/app_key" for name in ("one", "two"))
    assert one.read_text(encoding="ascii") != two.read_text(encoding="ascii")


def test_a_file_is_written_whole_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        write_file(tmp_path / "open", "text", mode=0o644)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["open"]


def _site(root: Path) -> Site:
    tops = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup/systemd"))
    hierarchies = Hierarchies(Mode.LEGACY, tops)
    base = Path("/cache/base")
    return Site("trial", RECORD.subnet, Folders(root), base, hierarchies, RECORD.machines)


def test_only_nodes_get_a_docker_folder_and_the_shared_storage(tmp_path: Path) -> None:
    site = _site(tmp_path)
    node = nspawn(site, find_machine("node1", site.machines))
    database = nspawn(site, find_machine("db", site.machines))
    assert f"--bind={tmp_path}/machines/node1/docker:/var/lib/docker" in node
    assert f"--bind={tmp_path}/storage:/srv/nocobase/storage" in node
    assert not [word for word in database if word.startswith("--bind")]


def test_the_runner_joins_the_groups_of_its_machine_before_it_starts_it(tmp_path: Path) -> None:
    site = _site(tmp_path)
    text = runner(site, find_machine("db", site.machines), ["true"])
    first = text.index("join /sys/fs/cgroup/pids/nbops-lab/trial/watch")
    second = text.index("join /sys/fs/cgroup/pids/nbops-lab/trial/db")
    assert first < second < text.index("exec true")


def test_the_runner_starts_a_machine_again_when_it_asks_for_a_reboot(tmp_path: Path) -> None:
    site = _site(tmp_path)
    count = tmp_path / "count"
    machine = tmp_path / "machine"
    machine.write_text(
        f'echo x >> "{count}"\n[ "$(wc -l < "{count}")" -ge 3 ] || exit 133\n', encoding="utf-8"
    )
    text = runner(site, find_machine("db", site.machines), ["sh", str(machine)])
    bare = "\n".join(line for line in text.splitlines() if not line.strip().startswith("join /"))
    subprocess.run(["sh", "-c", bare], check=False, timeout=10)
    assert count.read_text(encoding="ascii") == "x\nx\nx\n"


def test_a_lock_is_waited_for_and_then_refused_with_its_reason(tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        folder_lock(tmp_path, deadline=1),
        pytest.raises(LabError, match="busy"),
        folder_lock(tmp_path, deadline=0.3, busy="busy"),
    ):
        pass
    assert 0.3 <= time.monotonic() - began < 1


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom nbops.lab.locks import folder_lock\n"
        "with folder_lock(Path(sys.argv[1]), deadline=1):\n    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LabError), folder_lock(tmp_path, deadline=0):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with folder_lock(tmp_path, deadline=1):
        pass


def test_a_folder_removed_under_its_lock_is_locked_anew(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    with folder_lock(folder, deadline=1):
        folder.rmdir()
        with folder_lock(folder, deadline=1):
            assert folder.is_dir()


def test_a_failed_program_says_its_last_lines() -> None:
    with pytest.raises(LabError, match="sh failed with status 3: what went wrong"):
        run(["sh", "-c", "echo what went wrong >&2; exit 3"])


def test_a_program_that_is_not_done_in_time_is_ended() -> None:
    with pytest.raises(LabError, match=r"sleep was not done after 0\.2 s"):
        run(["sleep", "60"], deadline=0.2)


def test_a_program_ends_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom nbops.lab.shell import run\n"
        "run(['sh', '-c', f'echo $$ > {sys.argv[1]}/pid; exec sleep 60'])\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    until = time.monotonic() + 10
    while not (text := _read(tmp_path / "pid")) and time.monotonic() < until:
        time.sleep(0.02)
    starter.kill()
    starter.wait()
    while _alive(int(text)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _alive(int(text))


def test_only_lines_that_say_something_count_as_last() -> None:
    assert last_lines("one\n\ntwo\n  \nthree\n", 2) == "two\nthree"


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _alive(pid: int) -> bool:
    stat_line = _read(Path(f"/proc/{pid}/stat"))
    return bool(stat_line) and stat_line.rpartition(")")[2].split()[0] != "Z"
