"""What is wrong on one host by itself, from its needs and its look. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from nbops.nocobase.preflight_model import DOCKER_ROOT, Finding, Level, Look, Needs, Space

COMPOSE_LEAST = (2, 0)
DOCKER_LEAST = (20, 10)
NODE_LEAST = (20,)  # NocoBase's page on installing with create-nocobase-app
_PROCESS_LEAST = 400
_PROCESS_USUAL = 700
_SYSTEM = 256
_FILES_LEAST = 10_000
_DEBIANS = {"debian", "ubuntu"}


def host_findings(needs: Needs, look: Look) -> list[Finding]:
    """All that is wrong on a host, in the order in which it is best mended."""
    return [one for check in _CHECKS for one in check(needs, look)]


def numbers(text: str) -> tuple[int, ...]:
    """The numbers of the first version in a text: `v20.19.2` gives (20, 19, 2)."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _login(needs: Needs, look: Look) -> Iterator[Finding]:
    if look.text("uid") != "0":
        yield _problem(
            needs,
            "this login is not root",
            "set `ansible_become: true` in the inventory, or log in as root",
        )


def _programs(needs: Needs, look: Look) -> Iterator[Finding]:
    for name in (row[0] for row in look.all("missing") if row[0] in needs.programs):
        if needs.bootstrap and name in {"docker", "node", "npm"}:
            yield _note(needs, f"`{name}` is not there yet: the deploy installs it")
        else:
            yield _problem(needs, f"`{name}` is not installed", needs.programs[name])
    system = look.one("os", 2) or ("", "")
    if needs.bootstrap and system[0] and system[0] not in _DEBIANS:
        yield _problem(
            needs,
            f"`runtime.bootstrap` installs on Debian and Ubuntu, and this is {system[0]}",
            "install Docker (or Node.js) by hand, and set `bootstrap: false`",
        )


def _docker(needs: Needs, look: Look) -> Iterator[Finding]:
    if needs.runtime != "compose" or ("docker",) in look.all("missing"):
        return
    docker, compose = look.text("docker"), look.text("compose")
    if not docker:
        yield _problem(
            needs,
            "Docker does not run",
            "`systemctl enable --now docker`; `journalctl -u docker -n 50` says why it stopped",
        )
    elif numbers(docker) < DOCKER_LEAST:
        yield _warning(
            needs, f"Docker is {docker}, older than what nbops is tested with", "20.10 or newer"
        )
    if numbers(compose) >= COMPOSE_LEAST:
        return
    if needs.bootstrap and not compose:
        yield _note(needs, "Docker Compose is not there yet: the deploy installs it")
        return
    yield _problem(
        needs,
        f"Docker Compose is {compose or 'not there'}, and version 2 is needed",
        "`apt-get install docker-compose` on Debian 13, `docker-compose-v2` on Ubuntu,"
        " `docker-compose-plugin` from Docker's own packages",
    )


def _node_js(needs: Needs, look: Look) -> Iterator[Finding]:
    if needs.runtime != "pm2":
        return
    node = look.text("node")
    if node and numbers(node) < NODE_LEAST:
        yield _problem(
            needs, f"Node.js is {node}, and the app needs 20 or newer", "install Node.js 20 or 22"
        )


def _memory(needs: Needs, look: Look) -> Iterator[Finding]:
    total, cores = look.text("memory"), look.text("cores")
    if not needs.is_node or not total.isdecimal():
        return
    processes = needs.processes if needs.processes > 0 else int(cores if cores.isdecimal() else 1)
    what = f"{total} MiB of memory for {processes} app process{'es' if processes > 1 else ''}"
    remedy = "give the host more, or take fewer (`runtime.instances`, `runtime.cluster_mode`)"
    if int(total) < _PROCESS_LEAST * processes:
        yield _problem(needs, f"{what}: each takes 400 to 660", remedy)
    elif int(total) < _PROCESS_USUAL * processes + _SYSTEM:
        yield _warning(needs, f"{what} is tight: each takes 400 to 660", remedy)


def _space(needs: Needs, look: Look) -> Iterator[Finding]:
    """Needs that lie on one disk are added up."""
    disks: dict[str, tuple[int, list[Space]]] = {}
    rows = {row[0]: row for row in look.all("space") if len(row) == 6}
    for one in needs.space:
        row = rows.get(one.purpose)
        if row is None or not row[2].isdecimal():
            continue
        _, path, free, disk, files, mode = row
        if mode == "ro":
            yield _problem(
                needs,
                f"{path} cannot be written: {disk} is read-only",
                f"`mount -o remount,rw {disk}`; `dmesg | tail` says whether the disk is broken",
            )
            continue
        yield from _files(needs, path, files)
        if one.purpose == DOCKER_ROOT and look.one("image"):
            continue
        _, purposes = disks.setdefault(disk, (int(free), []))
        purposes.append(one)
    for disk, (left, purposes) in disks.items():
        least = sum(one.least for one in purposes)
        if left < least:
            named = ", ".join(f"{one.least} for {_purpose(one)}" for one in purposes)
            yield _problem(
                needs,
                f"only {left} MiB are free on {disk}, and {least} are needed ({named})",
                f"`du -xh --max-depth=2 {disk} | sort -h | tail` shows what takes the room",
            )


def _files(needs: Needs, path: str, files: str) -> Iterator[Finding]:
    every, _, free = files.partition(":")
    if every.isdecimal() and free.isdecimal() and int(every) and int(free) < _FILES_LEAST:
        yield _problem(
            needs,
            f"only {free} more files (inodes) can be made where {path} is",
            "remove what is made of many small files there, or use another disk",
        )


def _purpose(one: Space) -> str:
    return "the image" if one.purpose == DOCKER_ROOT else one.purpose


def _ports(needs: Needs, look: Look) -> Iterator[Finding]:
    wanted = {str(port.number): port for port in needs.ports}
    for number, program, pid, unit, container in (
        (*row, "", "", "", "")[:5] for row in look.all("port")
    ):
        port = wanted.get(number)
        if port is None:
            continue
        name, _, cluster = container.partition(" ")
        if program in port.ours or (name and cluster == needs.cluster):
            continue
        if any(app[0].removeprefix("/") == name for app in _by_hand(look) if name):
            continue  # told as what it is, with what to do about it
        holder = f"the container `{name}`" if name else f"`{program or 'a program'}`"
        if unit:
            holder += f" ({unit})"
        elif pid and not name:
            holder += f" (process {pid})"
        stop = f"`systemctl stop {unit}`" if unit else "stop it"
        if program == "docker-proxy":
            stop = f"`docker stop {name}`" if name else f"`docker ps` shows what publishes {number}"
        yield _problem(
            needs,
            f"port {number}, for {port.purpose}, is taken by {holder}",
            f"{stop}, or set another port in the inventory",
        )


def _by_hand(look: Look) -> list[tuple[str, ...]]:
    return [row for row in look.all("app") if len(row) > 1 and not row[1]]


def _storage(needs: Needs, look: Look) -> Iterator[Finding]:
    if not needs.storage:
        return
    row = look.one("storage", 4)
    if row is None:
        yield _problem(
            needs,
            f"the shared storage {needs.storage} is not there",
            "mount it on every node, or set `storage.path` to where it is",
        )
    elif row[0] == "file":
        yield _problem(
            needs, f"{needs.storage} is a file, not a folder", "set `storage.path` to a folder"
        )
    elif row[2] == "ro":
        yield _problem(
            needs,
            f"the shared storage {needs.storage} is mounted read-only",
            f"mount it for writing: `mount -o remount,rw {row[3] or needs.storage}`",
        )
    when = look.text("upgrading")
    if when:
        yield _warning(
            needs,
            f"a file .upgrading of {when} lies in {needs.storage}: an upgrade was cut off there,"
            " and the next start upgrades again",
            "no harm when the versions are right; remove the file when nothing is being upgraded",
        )


def _image(needs: Needs, look: Look) -> Iterator[Finding]:
    row = look.one("registry", 2)
    if row is None or row[0] == "200" or not look.text("docker"):
        return
    code, body = row
    said = _message(body)
    remedy = {
        "401": "set `runtime.registry` with credentials that may pull it",
        "403": "set `runtime.registry` with credentials that may pull it",
        "404": "check the version, and `image` in the inventory",
    }.get(code, "check that this host reaches the registry, and `insecure-registries` of Docker")
    why = said or ("the registry did not answer in time" if code in {"", "000"} else code)
    yield _problem(needs, f"{needs.image} is not here and cannot be pulled: {why}", remedy)


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return ""


def _tool(needs: Needs, look: Look) -> Iterator[Finding]:
    row = look.one("tool", 2)
    if row and not row[1]:
        yield _problem(
            needs,
            f"`{row[0]}` is not installed, so no backup can be made",
            f"`apt-get install {_CLIENT.get(row[0], 'the client of the database')}`",
        )


_CLIENT = {
    "pg_dump": "postgresql-client",
    "mariadb-dump": "mariadb-client",
    "mysqldump": "mysql-client",
}


def _problem(needs: Needs, what: str, remedy: str) -> Finding:
    return Finding(needs.host, Level.PROBLEM, what, remedy)


def _warning(needs: Needs, what: str, remedy: str = "") -> Finding:
    return Finding(needs.host, Level.WARNING, what, remedy)


def _note(needs: Needs, what: str, remedy: str = "") -> Finding:
    return Finding(needs.host, Level.NOTE, what, remedy)


_CHECKS: tuple[Callable[[Needs, Look], Iterator[Finding]], ...] = (
    _login,
    _programs,
    _docker,
    _node_js,
    _memory,
    _space,
    _ports,
    _storage,
    _image,
    _tool,
)
