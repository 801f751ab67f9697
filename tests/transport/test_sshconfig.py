from pathlib import Path

import pytest

from nbops.base.errors import UsageError
from nbops.transport.endpoint import Endpoint
from nbops.transport.sshconfig import Hop, hops_of


def _hops(tmp_path: Path, config: str, **settings: object) -> tuple[Hop, ...]:
    file = tmp_path / "config"
    file.write_text(config)
    values: dict[str, object] = {"address": "web", "ssh_config": file} | settings
    return hops_of(Endpoint(name="node1", **values))  # type: ignore[arg-type]


def test_what_the_endpoint_leaves_open_comes_from_ssh_config(tmp_path: Path) -> None:
    (hop,) = _hops(
        tmp_path,
        "Host web\n  HostName 198.18.0.9\n  Port 2222\n  User deploy\n  IdentityFile /k\n"
        "  IdentitiesOnly yes\n  UserKnownHostsFile /known\n",
    )
    assert (hop.address, hop.port, hop.user) == ("198.18.0.9", 2222, "deploy")
    assert hop.key_files == (Path("/k"),)
    assert hop.known_hosts[0] == Path("/known")
    assert hop.identities_only


def test_the_endpoint_wins_over_ssh_config(tmp_path: Path) -> None:
    (hop,) = _hops(
        tmp_path,
        "Host *\n  Port 2222\n  User deploy\n  IdentityFile /k\n",
        port=22,
        user="root",
        key_files=(Path("/mine"),),
        known_hosts=(Path("/mine_too"),),
    )
    assert (hop.port, hop.user, hop.key_files) == (22, "root", (Path("/mine"),))
    assert hop.known_hosts == (Path("/mine_too"),)


def test_without_any_setting_it_is_as_with_ssh(tmp_path: Path) -> None:
    (hop,) = _hops(tmp_path, "")
    assert (hop.address, hop.port) == ("web", 22)
    assert hop.known_hosts[0] == Path("~/.ssh/known_hosts")
    assert Path("/etc/ssh/ssh_known_hosts") in hop.known_hosts


def test_a_chain_of_jumps_is_gone_in_order(tmp_path: Path) -> None:
    hops = _hops(
        tmp_path,
        "Host web\n  ProxyJump ann@one:2201,two\nHost two\n  HostName 198.18.0.2\n  User bob\n",
    )
    assert [(hop.address, hop.port) for hop in hops] == [
        ("one", 2201),
        ("198.18.0.2", 22),
        ("web", 22),
    ]
    assert [hop.user for hop in hops[:2]] == ["ann", "bob"]


def test_jumps_of_the_endpoint_replace_those_of_ssh_config(tmp_path: Path) -> None:
    jump = Endpoint(name="j", address="jump", ssh_config=tmp_path / "config")
    hops = _hops(tmp_path, "Host web\n  ProxyJump other\n", jumps=(jump,))
    assert [hop.address for hop in hops] == ["jump", "web"]


def test_a_jump_that_is_itself_behind_a_jump_is_reached_over_it(tmp_path: Path) -> None:
    hops = _hops(tmp_path, "Host web\n  ProxyJump two\nHost two\n  ProxyJump one\n")
    assert [hop.address for hop in hops] == ["one", "two", "web"]


def test_jumps_that_go_round_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="circle"):
        _hops(tmp_path, "Host web\n  ProxyJump two\nHost two\n  ProxyJump web\n")


def test_an_option_that_would_change_the_connection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hostkeyalias"):
        _hops(tmp_path, "Host web\n  HostKeyAlias x\n")


def test_included_files_are_read_in_their_places(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "one").write_text("Host web\n  Port 2201\nHost other\n  Port 2\n")
    (tmp_path / "for-web").write_text("User ann\n")
    text = "Include more/*\nInclude nowhere/*\nHost web\n  Include for-web\n  HostName 10.0.0.1\n"
    hop = _hops(tmp_path, text)[-1]
    assert (hop.address, hop.port, hop.user) == ("10.0.0.1", 2201, "ann")


def test_an_included_link_to_nowhere_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gone.conf").symlink_to(tmp_path / "nowhere")
    assert (
        _hops(tmp_path, "Include *.conf\nHost web\n  HostName 10.0.0.1\n")[-1].address == "10.0.0.1"
    )


def test_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="circle"):
        _hops(tmp_path, "Include config\n")


def test_such_an_option_for_other_hosts_is_no_matter(tmp_path: Path) -> None:
    assert _hops(tmp_path, "Host other\n  HostKeyAlias x\n")


def test_a_missing_ssh_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not there"):
        hops_of(Endpoint(name="h", address="h", ssh_config=tmp_path / "none"))


def test_an_ipv6_jump_is_understood(tmp_path: Path) -> None:
    hops = _hops(tmp_path, "Host web\n  ProxyJump ann@[::1]:2201\n")
    assert (hops[0].address, hops[0].port, hops[0].user) == ("::1", 2201, "ann")
