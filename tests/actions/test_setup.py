from __future__ import annotations

import os
import platform
from typing import Any

import pytest

from nbops.actions.setup import SetupAction, chosen, date_time, facts
from tests.actions.conftest import LocalContext, do

RECORDED = {
    "node": "node1.example.org", "kernel": "6.12.1", "system": "Linux", "version": "#1",
    "machine": "x86_64", "fqdn": "node1.example.org",
    "release": 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie',
    "debian": "13.1", "cpus": "4\n2", "memory": "MemTotal: 2097152 kB\nMemFree: 1024 kB",
    "user": "root\n0\n0\nroot:x:0:0:root:/root:/bin/bash",
    "route": "203.0.113.1 via 198.18.0.1 dev host0 src 198.18.0.5 uid 0 \n    cache",
    "addresses": "1: lo    inet 127.0.0.1/8 scope host lo\n"
    "2: host0    inet 198.18.0.5/20 brd 198.18.15.255 scope global host0\n"
    "2: host0    inet6 fe80::1/64 scope link",
    "links": "1: lo: <LOOPBACK> mtu 65536 link/loopback 00:00:00:00:00:00\n"
    "2: host0@if3: <UP> mtu 1500 qdisc x link/ether 02:00:00:00:00:01 brd ff",
    "clock": "1795425748 +0130 XST", "manager": "systemd\nsystemd-runs",
    "packages": "/usr/bin/apt-get", "machine_id": "abc", "virtual": "systemd-nspawn",
    "uptime": "12.5 3", "environment": "A=1\nB=x\1y=z",
}  # fmt: skip


def test_what_a_host_says_becomes_facts() -> None:
    found = facts("".join(f"\0{name}\n{text}\n" for name, text in RECORDED.items()).encode())
    expected: dict[str, Any] = {
        "hostname": "node1",
        "fqdn": "node1.example.org",
        "domain": "example.org",
        "distribution": "Debian",
        "distribution_version": "13.1",
        "distribution_major_version": "13",
        "distribution_release": "trixie",
        "os_family": "Debian",
        "architecture": "x86_64",
        "processor_vcpus": 2,
        "memtotal_mb": 2048,
        "user_id": "root",
        "user_dir": "/root",
        "all_ipv4_addresses": ["198.18.0.5"],
        "all_ipv6_addresses": ["fe80::1"],
        "interfaces": ["lo", "host0"],
        "service_mgr": "systemd",
        "pkg_mgr": "apt",
        "machine_id": "abc",
        "env": {"A": "1", "B": "x\ny=z"},
        "uptime_seconds": 12,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["default_ipv4"] == {
        "address": "198.18.0.5", "alias": "host0", "interface": "host0", "gateway": "198.18.0.1",
        "prefix": "20", "netmask": "255.255.240.0", "network": "198.18.0.0",
        "macaddress": "02:00:00:00:00:01", "type": "ether", "mtu": 1500,
    }  # fmt: skip


def test_the_time_is_that_of_the_host() -> None:
    found = date_time("1795425748 +0130 XST")
    assert found["iso8601"] == "2026-11-23T09:22:28Z"
    assert (found["time"], found["tz"], found["tz_offset"]) == ("10:52:28", "XST", "+0130")


def test_facts_come_in_one_round_trip(ctx: LocalContext) -> None:
    found = do(SetupAction(), ctx).facts
    assert found["hostname"] == platform.node().split(".")[0]
    assert found["kernel"] == platform.release()
    assert found["processor_vcpus"] == os.cpu_count()
    assert found["env"]["HOME"] == str(ctx.home)
    assert len(ctx.probes) == 1


def test_a_host_that_lacks_nearly_everything_still_answers(ctx: LocalContext) -> None:
    nothing = "".join(f"\0{name}\n" for name in RECORDED).encode()
    given = nothing.replace(b"\0user\n", b"\0user\nme\n7\n7\n")
    found = facts(given.replace(b"\0clock\n", b"\0clock\n0 +0000\n"))
    assert found["default_ipv4"] == {}
    assert (found["distribution"], found["pkg_mgr"]) == ("NA", "unknown")


@pytest.mark.parametrize("pattern", ["ansible_kern*", "kernel", "ker?el"])
def test_names_are_chosen_with_and_without_prefix(pattern: str) -> None:
    assert "kernel" in chosen({"kernel": "6", "machine": "x"}, [pattern])
    assert "machine" not in chosen({"kernel": "6", "machine": "x"}, [pattern])
