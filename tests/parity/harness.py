"""Runs one play with ansible-playbook and with nbops on the same hosts, and compares."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from nbops.base.command import DEFAULT_DEADLINE
from nbops.cli.main import call
from tests.parity.warm import Playbooks
from tests.sshd import SshServer

HERE = Path(__file__).parent
HOSTS = ("h1", "h2", "h3")
ANSIBLE_DEADLINE = 120

# What no two runs have in common, or what only tells how a tool works inside.
VOLATILE = frozenset(
    {
        "start", "end", "stop", "delta", "atime", "mtime", "ctime", "inode", "dev", "invocation",
        "diff", "warnings", "deprecations", "exception", "version", "cache_update_time", "elapsed",
        "date", "last_modified", "backup_file", "_ansible_no_log",
        # Facts of the moment, of the connection, or in no certain order.
        "ansible_date_time", "ansible_memfree_mb", "ansible_uptime_seconds", "ansible_interfaces",
        "ansible_all_ipv4_addresses", "ansible_all_ipv6_addresses", "SSH_CONNECTION", "SSH_CLIENT",
        "ansible_fqdn",  # `hostname -f` here, the resolver's first name for the address there
    }
)  # fmt: skip
# Where each tool keeps what is on its way to its place.
_STAGED = re.compile(
    r"/[^\"\s]*/(?:ansible-(?:module)?tmp-[^\"\s]+|run-[^\"\s/]+/f-[0-9a-f]+|[.]nbops-get-[0-9a-f]+)"
)
# A failure's message is worded by each tool for itself, unless a program or the play made it.
OWN_WORDS = frozenset(
    {
        "failed_when_result",
        "changed_when_result",
        "msg",
        "module_stdout",
        "module_stderr",
        "reason",
        "false_condition",
    }
)


@dataclass(frozen=True)
class Seen:
    """What a tool said of a run."""

    code: int
    recap: Mapping[str, Mapping[str, int]]
    results: Mapping[tuple[str, str], list[Mapping[str, Any]]]
    files: Mapping[str, str]
    order: Sequence[str] = ()
    said: str = ""


@dataclass
class Bench:
    """The hosts, an inventory and a folder for the runs."""

    folder: Path
    server: SshServer
    playbooks: Playbooks
    web: str = ""
    _number: int = field(default=0)

    def compare(self, case: Mapping[str, Any]) -> list[str]:
        """Every difference between the two runs of a case, in words.

        A case's `deadline` stands for the seconds that a command without `timeout` may take, so
        that what comes of it shows sooner. `unordered` tells that Ansible takes the tasks as their
        hosts answer, now so and now so.
        """
        self._number += 1
        (self.folder / "ssh_config").touch()
        base = self.folder / str(self._number)
        args = [str(one) for one in case.get("args", ())]
        # Names of one length, so that the sizes of links are the same.
        theirs = self._prepare(base / "ansib", case)
        playbook = ["-i", "inventory.yml", "play.yml", *args]
        self.playbooks.start(theirs / "book", playbook, theirs / "said", ANSIBLE_DEADLINE)
        deadline = case.get("deadline", DEFAULT_DEADLINE)
        with patch("nbops.engine.context.DEFAULT_DEADLINE", deadline):
            ours = self._nbops(self._prepare(base / "nbops", case), args)
        seen = self._ansible(theirs)
        if not seen.recap and not case.get("refused"):
            return [f"ansible-playbook did nothing: {seen.said}"]
        if any(seen.recap.get(host, {}).get("unreachable") for host in HOSTS) and not case.get(
            "away"
        ):
            return [f"the hosts of the bench cannot be reached: {seen.said}"]
        if case.get("unordered"):
            seen, ours = (replace(one, order=sorted(one.order)) for one in (seen, ours))
        return list(differences(seen, ours))

    def _prepare(self, folder: Path, case: Mapping[str, Any]) -> Path:
        (folder / "book").mkdir(parents=True)
        for host in HOSTS:
            (folder / "root" / host).mkdir(parents=True)
        for name, content in case.get("files", {}).items():
            path = folder / "book" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else _dump(content)
            path.write_text(text)
        (folder / "book" / "play.yml").write_text(_dump(case["play"]))
        (folder / "book" / "inventory.yml").write_text(_dump(self._inventory(folder, case)))
        return folder

    def _inventory(self, folder: Path, case: Mapping[str, Any]) -> dict[str, Any]:
        hosts: dict[str, dict[str, Any]] = {
            name: {"ansible_host": self.server.addresses[number], "number": number + 1}
            for number, name in enumerate(HOSTS)
        }
        some = {name: hosts[name] for name in HOSTS[:2]}
        groups: dict[str, Any] = {
            "some": {"hosts": some, "vars": {"where": "some"}},
            "other": {"hosts": {HOSTS[2]: hosts[HOSTS[2]]}},
        }
        if case.get("away"):
            groups["away"] = {"hosts": {"gone": {"ansible_host": "127.99.0.1"}}}
        return {
            "all": {
                "children": groups,
                "vars": {
                    "ansible_port": self.server.port,
                    "ansible_user": self.server.user,
                    "ansible_ssh_private_key_file": str(self.server.user_key),
                    "ansible_ssh_common_args": f"-F {self.folder / 'ssh_config'} "
                    f"-o UserKnownHostsFile={self.server.known_hosts}",
                    "ansible_python_interpreter": sys.executable,
                    "root": str(folder / "root"),
                    "work": f"{folder / 'root'}/{{{{ inventory_hostname }}}}",
                    "where": "all",
                    "web": self.web,
                    "web_port": self.web.rpartition(":")[2],
                },
            }
        }

    def _ansible(self, folder: Path) -> Seen:
        code = self.playbooks.answer()
        record = folder / "said.jsonl"
        lines = record.read_text().splitlines() if record.exists() else []
        entries = [json.loads(line) for line in lines]
        recap = next((one["recap"] for one in entries if "recap" in one), {})
        results = defaultdict(list)
        order = []
        for one in entries:
            if "task" in one and one["task"] != "meta":
                results[one["task"], one["host"]].append(one["result"] | {"status": one["status"]})
                order.append(one["task"])
        said = (folder / "said").read_text(errors="replace")
        return Seen(code, _named(recap), results, _tree(folder / "root"), order, said)

    def _nbops(self, folder: Path, args: list[str]) -> Seen:
        out, err = io.StringIO(), io.StringIO()
        before = Path.cwd()
        os.chdir(folder / "book")
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = call(["run", "play.yml", "-i", "inventory.yml", "--json", *args])
        finally:
            os.chdir(before)
        recap: Mapping[str, Any] = {}
        results = defaultdict(list)
        order = []
        for line in out.getvalue().splitlines():
            event = json.loads(line)
            if event.get("kind") == "run_ended":
                recap = event["recap"]
            elif event.get("kind") == "step_ended" and event["item"] is None:
                result = event["result"] | {"status": event["status"]}
                results[event["task"], event["host"]].append(result)
                order.append(event["task"])
        said = out.getvalue() + err.getvalue()
        return Seen(code, recap, results, _tree(folder / "root"), order, said)


def differences(theirs: Seen, ours: Seen) -> Iterable[str]:
    """What the two runs do not have in common, in words: recap, results, files."""
    if bool(theirs.code) != bool(ours.code):
        yield f"exit: ansible {theirs.code}, nbops {ours.code}\n{theirs.said}\n{ours.said}"
    for host in sorted({*theirs.recap, *ours.recap}):
        left, right = theirs.recap.get(host, {}), ours.recap.get(host, {})
        for name in sorted({*left, *right}):
            if left.get(name, 0) != right.get(name, 0):
                counts = f"ansible {left.get(name, 0)}, nbops {right.get(name, 0)}"
                yield f"recap of {host}: {name}: {counts}"
    for key in sorted({*theirs.results, *ours.results}):
        yield from _compare_results(key, theirs.results.get(key, []), ours.results.get(key, []))
    one, two = ([name for name, _ in groupby(seen.order)] for seen in (theirs, ours))
    if one != two:
        yield f"order: ansible {one}, nbops {two}"
    for path in sorted({*theirs.files, *ours.files}):
        if theirs.files.get(path) != ours.files.get(path):
            yield f"{path}: ansible {theirs.files.get(path)}, nbops {ours.files.get(path)}"


def _compare_results(
    key: tuple[str, str], theirs: list[Mapping[str, Any]], ours: list[Mapping[str, Any]]
) -> Iterable[str]:
    task, host = key
    if len(theirs) != len(ours):
        yield f"`{task}` on {host}: {len(theirs)} results from ansible, {len(ours)} from nbops"
        return
    for one, two in zip(theirs, ours, strict=True):
        yield from _compare(f"`{task}` on {host}", _plain(one), _plain(two))


def _compare(where: str, one: Any, two: Any) -> Iterable[str]:
    if isinstance(one, dict) and isinstance(two, dict):
        gone = (
            one.get("failed")
            or one.get("unreachable")
            or one.get("status") in {"failed", "ignored", "unreachable"}
        )
        worded = "rc" not in one or str(one.get("msg")).startswith("Task failed")
        own = OWN_WORDS if gone and worded else frozenset()
        for key in sorted((one.keys() & two.keys()) - VOLATILE - own):
            yield from _compare(f"{where}: {key}", one[key], two[key])
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for number, (left, right) in enumerate(zip(one, two, strict=True)):
            yield from _compare(f"{where}[{number}]", left, right)
    elif one != two:
        yield f"{where}: ansible {one!r}, nbops {two!r}"


def _plain(value: Any) -> Any:
    """A result with the folders of the two runs under one name."""
    text = json.dumps(value, default=str)
    text = _STAGED.sub("<staged>", text)
    text = re.sub(r"/[^\"\s:]*/(?:ansib|nbops)/(root|book)\b", r"<\1>", text)
    text = re.sub(r"\.\d+\.\d{4}-\d\d-\d\d@[\d:]+~", ".BACKUP", text)
    text = re.sub(r"/[^\"\s:]*/\.(?:ansible/tmp|nbops)/[^\"\s]*", "<staged>", text)
    # Two forks of ansible that reach the same host at the same moment.
    text = re.sub(r'"ControlSocket \S+ already exists, disabling multiplexing"(, )?', "", text)
    text = re.sub(r"ControlSocket \S+ already exists, disabling multiplexing(\\r\\n)?", "", text)
    text = re.sub(r"Paused for [\d.]+", "Paused for N", text)
    return json.loads(text)


def _named(recap: Mapping[str, Mapping[str, int]]) -> Mapping[str, Mapping[str, int]]:
    names = {"failures": "failed"}
    return {
        host: {names.get(name, name): count for name, count in counts.items()}
        for host, counts in recap.items()
    }


def _tree(root: Path) -> dict[str, str]:
    """Every file below `root`: kind, mode, owner, content or target."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        owner = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
        if path.is_symlink():
            what = f"-> {str(path.readlink()).replace(str(root), '<root>')}"
        elif path.is_file():
            content = path.read_bytes().replace(str(root).encode(), b"<root>")
            what = f"{len(content)} {hashlib.sha256(content).hexdigest()[:12]}"
        else:
            what = "folder"
        name = re.sub(r"\.\d+\.\d{4}-\d\d-\d\d@[\d:]+~$", ".BACKUP", str(path.relative_to(root)))
        found[name] = f"{owner} {what}"
    return found


def _dump(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)


def ansible_environment(folder: Path) -> dict[str, str]:
    """What ansible-playbook is to know: nothing of the machine's own settings."""
    (folder / "cp").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ANSIBLE_STDOUT_CALLBACK": "recorder",
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=20s",
        "ANSIBLE_FORKS": "5",
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_TIMEOUT": "5",
        "ANSIBLE_SSH_USETTY": "0",
        "LC_ALL": "C.UTF-8",
    }
