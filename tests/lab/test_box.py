"""What is read from the box: mounts, control groups, routes, apt's settings, programs."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from nbops.base.errors import LabError
from nbops.lab import base, checks, limits, recipe
from nbops.lab.cgroups import Mode, hierarchies
from nbops.lab.locks import folder_lock
from nbops.lab.mounts import parse_mounts, under
from nbops.lab.network import route_networks

LEGACY = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
UNIFIED = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
INSTANCES = "fs/inotify/max_user_instances"
ARCHIVES = """\
http://vendor.example/debian|Vendor|main|stable
http://archive.example/debian-security/|Debian-Security|main|bookworm-security
http://archive.example/debian/|Debian|contrib|bookworm
http://archive.example/debian/|Debian|main|bookworm
"""


def test_mounts_come_with_spaces_in_their_names() -> None:
    (mount,) = parse_mounts("1 2 0:3 / /srv/two\\040words rw shared:1 - ext4 /dev/a rw,discard\n")
    assert mount.folder == Path("/srv/two words")
    assert (mount.kind, mount.options) == ("ext4", {"rw", "discard"})


def test_mounts_are_undone_last_first_and_only_those_below_the_folder() -> None:
    table = "".join(
        f"{n} 1 0:3 / {folder} rw - ext4 /dev/a rw\n"
        for n, folder in enumerate(["/lab", "/lab/a", "/lab/a/b", "/laboratory"])
    )
    assert under(parse_mounts(table), Path("/lab")) == (
        Path("/lab/a/b"),
        Path("/lab/a"),
        Path("/lab"),
    )


def test_old_control_groups_are_known_with_all_their_hierarchies() -> None:
    found = hierarchies(parse_mounts(LEGACY))
    assert found.mode is Mode.LEGACY
    assert [top.name for top in found.tops] == ["cpuset", "systemd", "unified"]


def test_the_unified_hierarchy_is_known() -> None:
    found = hierarchies(parse_mounts(UNIFIED))
    assert found.mode is Mode.UNIFIED
    assert found.folders("trial", "node1") == (Path("/sys/fs/cgroup/nbops-lab/trial/node1"),)


def test_a_box_without_control_groups_is_said() -> None:
    with pytest.raises(LabError, match="no control groups"):
        hierarchies(parse_mounts("22 27 0:21 / /proc rw - proc proc rw\n"))


def test_routes_are_read_with_the_default_and_single_addresses() -> None:
    routes = [{"dst": "default"}, {"dst": "198.18.4.0/24"}, {"dst": "198.18.5.1", "type": "local"}]
    assert route_networks(routes) == (
        IPv4Network("0.0.0.0/0"),
        IPv4Network("198.18.4.0/24"),
        IPv4Network("198.18.5.1/32"),
    )


def test_the_mirror_is_the_main_archive_that_apt_uses() -> None:
    assert base.choose_mirror(ARCHIVES) == "http://archive.example/debian"


def test_no_mirror_is_made_up() -> None:
    assert base.choose_mirror("http://vendor.example/debian|Vendor|main|stable\n") is None


def test_only_the_way_to_the_archive_is_taken_over_from_apt() -> None:
    dump = 'APT::Architecture "amd64";\nAcquire::http::Proxy "http://proxy.example:3128";\n'
    assert base.transport_settings(dump) == 'Acquire::http::Proxy "http://proxy.example:3128";\n'


def test_half_built_things_are_swept_away_unless_a_build_is_going_on(tmp_path: Path) -> None:
    (tmp_path / "building-x/root").mkdir(parents=True)
    (tmp_path / "base-0123").mkdir()
    with folder_lock(tmp_path, deadline=1):
        base.sweep(tmp_path)
        assert (tmp_path / "building-x").exists()
    base.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["base-0123"]


def test_the_recipe_holds_no_address_of_an_archive() -> None:
    assert "://" not in recipe.build_script()


def test_a_changed_recipe_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe.fingerprint()
    monkeypatch.setattr(recipe, "SERVICE_PACKAGES", (*recipe.SERVICE_PACKAGES, "rabbitmq-server"))
    assert recipe.fingerprint() != before


def _settings(root: Path, instances: int) -> Path:
    for name in limits.NEEDED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("999999\n", encoding="ascii")
    (root / INSTANCES).write_text(f"{instances}\n", encoding="ascii")
    return root


def test_a_low_limit_is_raised_and_put_back(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "sys", 128)
    limits.raise_limits(tmp_path, settings)
    limits.raise_limits(tmp_path, settings)
    assert (settings / INSTANCES).read_text(encoding="ascii") == "4096\n"
    limits.restore_limits(tmp_path, settings)
    assert (settings / INSTANCES).read_text(encoding="ascii") == "128\n"
    assert [path.name for path in tmp_path.iterdir()] == ["sys"]


def test_a_limit_that_is_high_enough_or_was_set_since_stays(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "sys", 128)
    limits.raise_limits(tmp_path, settings)
    (settings / INSTANCES).write_text("5000\n", encoding="ascii")
    limits.restore_limits(tmp_path, settings)
    assert (settings / INSTANCES).read_text(encoding="ascii") == "5000\n"
    assert (settings / "fs/inotify/max_user_watches").read_text(encoding="ascii") == "999999\n"


def test_no_root_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError, match="needs root") as caught:
        checks.check_operator()
    assert "sudo" in (caught.value.problems[0].hint or "")


def test_another_system_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(LabError, match="needs Linux"):
        checks.check_operator()


def test_a_missing_program_brings_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def which(name: str, *, path: str) -> str | None:
        return None if name == "ip" else f"{path}/{name}"

    monkeypatch.setattr("shutil.which", which)
    with pytest.raises(LabError) as caught:
        checks.check_programs()
    hint = caught.value.problems[0].hint
    assert hint == "run `apt-get install -y --no-install-recommends iproute2`"


def test_a_full_disk_is_said_with_what_is_needed_where(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"a lab needs 1000000\.0 GB, [0-9.]+ GB are free"):
        checks.check_disk(tmp_path / "not/yet/there", 1e6, "a lab")
