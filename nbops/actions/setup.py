"""`setup`: the few facts about a host that runbooks use, in one round trip."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.outcome import must
from nbops.actions.values import PlainList
from nbops.base.command import Effect
from nbops.runbook.spec import ActionSpec, Args

# Each part begins with a NUL, its name and a newline. The address in `route` stands for any
# outside: the kernel only tells which way it would take, nothing is sent.
_PARTS = {
    "node": "uname -n",
    "kernel": "uname -r",
    "system": "uname -s",
    "version": "uname -v",
    "machine": "uname -m",
    "fqdn": "hostname -f 2>/dev/null || uname -n",
    "release": "cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release",
    "debian": "cat /etc/debian_version",
    "cpus": "nproc --all; grep -c '^processor' /proc/cpuinfo",
    "memory": "cat /proc/meminfo",
    "user": 'id -un; id -u; id -g; getent passwd "$(id -un)"',
    "route": "ip -4 route get 203.0.113.1",
    "addresses": "ip -o addr show",
    "links": "ip -o link show",
    "clock": "date '+%s %z %Z'",
    "manager": "cat /proc/1/comm; [ -d /run/systemd/system ] && echo systemd-runs",
    "packages": "command -v apt-get dnf yum zypper apk pacman",
    "machine_id": "cat /etc/machine-id 2>/dev/null || cat /var/lib/dbus/machine-id",
    "virtual": "systemd-detect-virt",
    "uptime": "cat /proc/uptime",
    "environment": "env -0 | tr '\\0\\n' '\\n\\1'",
}

SCRIPT = (
    "LC_ALL=C\n"
    + "".join(
        f"printf '\\0{name}\\n'; {{ {command}; }} 2>/dev/null\n" for name, command in _PARTS.items()
    )
    + ":\n"
)

_DISTRIBUTIONS = {
    "debian": ("Debian", "Debian"),
    "ubuntu": ("Ubuntu", "Debian"),
    "rhel": ("RedHat", "RedHat"),
    "centos": ("CentOS", "RedHat"),
    "rocky": ("Rocky", "RedHat"),
    "almalinux": ("AlmaLinux", "RedHat"),
    "fedora": ("Fedora", "RedHat"),
    "amzn": ("Amazon", "RedHat"),
    "opensuse-leap": ("openSUSE Leap", "Suse"),
    "sles": ("SLES", "Suse"),
    "alpine": ("Alpine", "Alpine"),
    "arch": ("Archlinux", "Archlinux"),
}
_MANAGERS = {"apt-get": "apt", "dnf": "dnf", "yum": "yum", "zypper": "zypper", "apk": "apk",
             "pacman": "pacman"}  # fmt: skip
_MACHINES = {"i486": "i386", "i586": "i386", "i686": "i386"}


class SetupArgs(Args):
    """The arguments of `setup`."""

    filter: PlainList = Field(
        default_factory=list, description="Patterns of the names to give, all when empty."
    )
    gather_subset: PlainList = Field(
        default_factory=lambda: ["all"],
        description="Accepted for Ansible's sake: all facts come in one round trip.",
    )
    gather_timeout: int = Field(10, description="Seconds that it may take.", ge=1)


def facts(output: bytes) -> dict[str, Any]:
    """The facts, named without `ansible_`, from what `SCRIPT` printed."""
    told: dict[str, str] = {}
    for part in output.decode("utf-8", "replace").split("\0")[1:]:
        name, _, text = part.partition("\n")
        told[name] = text
    return {
        **_names(told),
        **_distribution(told),
        **_hardware(told),
        **_user(told),
        **_network(told),
        "date_time": date_time(told["clock"]),
        "env": _environment(told["environment"]),
        "service_mgr": _service_manager(told["manager"]),
        "pkg_mgr": _package_manager(told["packages"]),
        "machine_id": told["machine_id"].strip(),
        "virtualization_type": told["virtual"].strip() or "NA",
        "uptime_seconds": int(float((told["uptime"].split() or ["0"])[0])),
    }


def _names(told: Mapping[str, str]) -> dict[str, Any]:
    node, fqdn = told["node"].strip(), told["fqdn"].strip()
    machine = told["machine"].strip()
    return {
        "hostname": node.split(".")[0],
        "nodename": node,
        "fqdn": fqdn,
        "domain": fqdn.partition(".")[2],
        "system": told["system"].strip(),
        "kernel": told["kernel"].strip(),
        "kernel_version": told["version"].strip(),
        "machine": machine,
        "architecture": _MACHINES.get(machine, machine),
    }


def _distribution(told: Mapping[str, str]) -> dict[str, Any]:
    release = {
        key: value.strip("\"'")
        for key, _, value in (line.partition("=") for line in told["release"].splitlines())
    }
    known = release.get("ID", "")
    name, family = _DISTRIBUTIONS.get(known, (release.get("NAME", "NA"), ""))
    if not family:
        like = (release.get("ID_LIKE") or known).split() or [known]
        family = _DISTRIBUTIONS.get(like[0], (name, name))[1]
    version = release.get("VERSION_ID", "NA")
    exact = told["debian"].strip()
    if known == "debian" and re.match(r"\d+\.\d+", exact):
        version = exact
    return {
        "distribution": name,
        "distribution_version": version,
        "distribution_major_version": version.split(".")[0],
        "distribution_release": release.get("VERSION_CODENAME", "NA"),
        "os_family": family,
    }


def _hardware(told: Mapping[str, str]) -> dict[str, Any]:
    memory = {
        key: int(value.split()[0]) // 1024
        for key, _, value in (line.partition(":") for line in told["memory"].splitlines())
        if value.split()
    }
    every, *counted = [int(line) for line in told["cpus"].split()] or [1]
    return {
        "processor_vcpus": (counted or [every])[0],
        "processor_nproc": every,
        "memtotal_mb": memory.get("MemTotal", 0),
        "memfree_mb": memory.get("MemFree", 0),
        "swaptotal_mb": memory.get("SwapTotal", 0),
        "swapfree_mb": memory.get("SwapFree", 0),
    }


def _user(told: Mapping[str, str]) -> dict[str, Any]:
    name, uid, gid, *row = told["user"].splitlines()
    fields = (row[0] if row else "").split(":")
    known = len(fields) > 6
    return {
        "user_id": name,
        "user_uid": int(uid),
        "user_gid": int(gid),
        "user_dir": fields[5] if known else "",
        "user_shell": fields[6] if known else "",
        "user_gecos": fields[4] if known else "",
    }


def _network(told: Mapping[str, str]) -> dict[str, Any]:
    v4: list[str] = []
    v6: list[str] = []
    interfaces: list[str] = []
    prefixes: dict[str, tuple[str, int]] = {}
    for name, family, address, length in _addresses(told["addresses"]):
        if name not in interfaces:
            interfaces.append(name)
        if family == "inet":
            prefixes[address] = (name, length)
        if address.startswith("127.") or address == "::1":
            continue
        (v4 if family == "inet" else v6).append(address)
    for line in told["links"].splitlines():
        name = line.split(":")[1].strip().partition("@")[0] if line.count(":") > 1 else ""
        if name and name not in interfaces:
            interfaces.append(name)
    return {
        "all_ipv4_addresses": v4,
        "all_ipv6_addresses": v6,
        "interfaces": interfaces,
        "default_ipv4": _default(told["route"], prefixes, told["links"]),
    }


def _addresses(text: str) -> Iterator[tuple[str, str, str, int]]:
    """Interface, family, address and length of each line of `ip -o addr show`."""
    for line in text.splitlines():
        match = re.match(r"\d+: (\S+)\s+(inet6?) ([0-9a-f.:]+)(?: peer \S+?)?(?:/(\d+))?", line)
        if match:
            full = 32 if match[2] == "inet" else 128
            yield match[1], match[2], match[3], int(match[4] or full)


def _default(route: str, prefixes: Mapping[str, tuple[str, int]], links: str) -> dict[str, Any]:
    """How the host reaches the world over IPv4; empty when it does not."""
    words = route.split()
    found = dict(pairwise(words))
    if "src" not in found or "dev" not in found:
        return {}
    address, interface = found["src"], found["dev"]
    result: dict[str, Any] = {"address": address, "interface": interface, "alias": interface}
    if "via" in found:
        result["gateway"] = found["via"]
    if address in prefixes:
        length = prefixes[address][1]
        mask = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
        number = int.from_bytes(bytes(int(part) for part in address.split(".")), "big")
        result |= {"prefix": str(length), "netmask": _dotted(mask)}
        result["network"] = _dotted(number & mask)
    for line in links.splitlines():
        if re.match(rf"\d+: {re.escape(interface)}[:@]", line):
            mac = re.search(r"link/ether (\S+)", line)
            mtu = re.search(r" mtu (\d+)", line)
            result |= {"macaddress": mac[1], "type": "ether"} if mac else {}
            result |= {"mtu": int(mtu[1])} if mtu else {}
    return result


def _dotted(number: int) -> str:
    return ".".join(str(byte) for byte in number.to_bytes(4, "big"))


def date_time(clock: str) -> dict[str, str]:
    """The host's time, from `date '+%s %z %Z'`, under Ansible's keys."""
    epoch, offset, zone = [*clock.split(), "UTC"][:3]
    hours, minutes = int(offset[1:3]), int(offset[3:5])
    sign = -1 if offset.startswith("-") else 1
    away = timezone(sign * timedelta(hours=hours, minutes=minutes))
    now = datetime.fromtimestamp(int(epoch), away)
    utc = now.astimezone(UTC)
    return {
        "year": f"{now:%Y}",
        "month": f"{now:%m}",
        "weekday": f"{now:%A}",
        "weekday_number": f"{now:%w}",
        "weeknumber": f"{now:%W}",
        "day": f"{now:%d}",
        "hour": f"{now:%H}",
        "minute": f"{now:%M}",
        "second": f"{now:%S}",
        "epoch": epoch,
        "epoch_int": epoch,
        "date": f"{now:%Y-%m-%d}",
        "time": f"{now:%H:%M:%S}",
        "iso8601": f"{utc:%Y-%m-%dT%H:%M:%SZ}",
        "iso8601_basic": f"{now:%Y%m%dT%H%M%S}000000",
        "iso8601_basic_short": f"{now:%Y%m%dT%H%M%S}",
        "iso8601_micro": f"{utc:%Y-%m-%dT%H:%M:%S}.000000Z",
        "tz": zone,
        "tz_dst": zone,
        "tz_offset": offset,
    }


def _environment(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.split("\n") if "=" in line)
    return {name: value.replace("\1", "\n") for name, _, value in pairs}


def _service_manager(text: str) -> str:
    first, *rest = [*text.split(), ""]
    return "systemd" if "systemd-runs" in rest or first == "systemd" else first or "service"


def _package_manager(text: str) -> str:
    for line in text.splitlines():
        name = line.rpartition("/")[2]
        if name in _MANAGERS:
            return _MANAGERS[name]
    return "unknown"


def chosen(found: Mapping[str, Any], patterns: list[str]) -> dict[str, Any]:
    """The facts whose names (with or without `ansible_`) match one of the patterns."""
    if not patterns:
        return dict(found)
    return {
        name: value
        for name, value in found.items()
        if any(
            fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"ansible_{name}", pattern)
            for pattern in patterns
        )
    }


class SetupAction:
    """Asks a host who and what it is."""

    spec = ActionSpec(
        name="setup",
        args=SetupArgs,
        summary="Gather facts about the host: system, memory, addresses, time.",
        example="- setup:\n    filter: ansible_distribution*\n",
        effect=Effect.NONE,
        returns={"ansible_facts": "The facts."},
    )

    def run(self, args: SetupArgs, ctx: ActionContext) -> Result:
        """One round trip."""
        outcome = must(ctx.probe(SCRIPT, deadline=args.gather_timeout * 3), "gathering facts")
        found = chosen(facts(outcome.stdout), args.filter)
        told = {f"ansible_{name}": value for name, value in found.items()}
        return Result(values={"ansible_facts": told}, facts=found)
