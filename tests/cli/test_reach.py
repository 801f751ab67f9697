"""Commands that ask hosts without a runbook: where they say what."""

from pathlib import Path

import pytest

from nbops.base.errors import UsageError
from nbops.base.events import Note
from nbops.cli.cluster import Cluster
from nbops.cli.options import Output, Target
from nbops.cli.reach import reach


@pytest.mark.parametrize("as_json", [False, True])
def test_what_sessions_tell_meanwhile_is_no_part_of_the_answer(
    local: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    with reach(Target(inventory=local), Output(json=as_json)) as reached:
        reached.bus(Note(level="info", message="the key of `here` is new"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "the key of `here` is new" in err


def test_what_is_told_in_events_is_the_answer(
    local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with reach(Target(inventory=local), Output(json=True), events=True) as reached:
        reached.bus(Note(level="info", message="the key of `here` is new"))
    assert '"message":"the key of `here` is new"' in capsys.readouterr().out.replace('": "', '":"')


def test_a_variable_of_the_command_line_says_how_hosts_are_reached(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("all: {hosts: {web: {ansible_user: root, ansible_port: 22}}}")
    cluster = Cluster(inventory, {"ansible_user": "guest", "ansible_port": "2299"})
    endpoint = cluster.endpoint("web")
    assert (endpoint.user, endpoint.port) == ("guest", 2299)
    assert Cluster(inventory, {"ansible_become_user": "app"}).become("web").user == "app"
    with pytest.raises(UsageError, match="ansible_port"):
        Cluster(inventory, {"ansible_port": "none"}).check_endpoints()


def test_the_settings_of_a_cluster_are_not_replaced_by_a_word(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("all: {hosts: {web: }, vars: {nocobase: {cluster: demo}}}")
    with pytest.raises(UsageError, match="-e nocobase: the settings of a cluster stand in"):
        Cluster(inventory, {"nocobase": 5})
