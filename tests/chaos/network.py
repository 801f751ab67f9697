"""What a network and a machine do to a run: cut off, reset, restarted, for a while.

A fault is begun by a shell that waits on the machine already, and heals by itself there,
because nobody can reach the machine meanwhile.
"""

from __future__ import annotations

import random
import shlex
import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum

from tests.deploy.cluster import Cluster

_BACK = 240  # seconds after its time in which a machine must answer again
_WAIT = """\
rm -f /run/fault-over; cat /proc/sys/kernel/random/boot_id; read -r go || exit
setsid sh -c {script} </dev/null >/dev/null 2>&1 &
"""
_LOOK = """\
cat /proc/sys/kernel/random/boot_id; [ ! -e /run/fault-over ] || echo over
systemctl is-system-running
"""
_SESSIONS = "pkill -KILL -f '^sshd-session: '"
_OF_SSH = {"INPUT": "-p tcp --dport 22", "OUTPUT": "-p tcp --sport 22"}
_OF_ALL = {"INPUT": "! -i lo", "OUTPUT": "! -o lo", "FORWARD": ""}


class Kind(StrEnum):
    """What happens. Only those that name the machine befall more than its sshd."""

    DROP = "packets of ssh dropped"
    REJECT = "packets of ssh answered with a reset"
    KILL = "every connection of sshd killed"
    RESTART = "sshd and its connections killed, started again"
    ISOLATE = "all packets of the machine dropped"
    REBOOT = "machine restarted"
    CRASH = "machine restarted as by a power cut"


_ONLY_SSH = (Kind.DROP, Kind.REJECT, Kind.KILL, Kind.RESTART)
_AT_ONCE = (Kind.KILL, Kind.REBOOT, Kind.CRASH)


@dataclass(frozen=True)
class Fault:
    """What happens to a host `after` seconds from the beginning of a task of the run (its name,
    or its number from 1), and for how many seconds."""

    kind: Kind
    host: str
    task: int | str
    after: float
    seconds: int

    def __str__(self) -> str:
        lasting = "" if self.kind in _AT_ONCE else f" for {self.seconds} s"
        return f"{self.host}: {self.kind}{lasting}, {self.after:.1f} s after task {self.task}"

    @property
    def only_ssh(self) -> bool:
        """Whether visitors, the app and the database notice nothing."""
        return self.kind in _ONLY_SSH

    @property
    def restarts(self) -> bool:
        """Whether the machine starts anew."""
        return self.kind in {Kind.REBOOT, Kind.CRASH}

    @property
    def script(self) -> str:
        """What brings it about on the machine, and takes it away."""
        match self.kind:
            case Kind.DROP:
                what = _rules(_OF_SSH, "DROP", self.seconds)
            case Kind.REJECT:
                refused = {"INPUT": _OF_SSH["INPUT"]}
                what = _rules(refused, "REJECT --reject-with tcp-reset", self.seconds)
            case Kind.ISOLATE:
                what = _rules(_OF_ALL, "DROP", self.seconds)
            case Kind.KILL:
                what = _SESSIONS
            case Kind.RESTART:
                what = f"systemctl stop ssh; {_SESSIONS}; sleep {self.seconds}; systemctl start ssh"
            case Kind.REBOOT:
                what = "systemctl reboot"
            case Kind.CRASH:
                what = "systemctl reboot --force --force"
        return f"sleep {self.after}; {what}; touch /run/fault-over"


def drawn(seed: int, hosts: tuple[str, ...], tasks: int) -> Fault:
    """The fault of this seed, for a run with so many tasks. Most last for less than nbops
    waits for a host, one in seven for longer."""
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    low, high = dice.choices(((1, 40), (50, 100), (150, 200)), weights=(4, 2, 1))[0]
    return Fault(
        kind=dice.choice(tuple(Kind)),
        host=dice.choice(hosts),
        task=dice.randint(1, tasks),
        after=dice.choice((0.0, 0.3, 1.0, 3.0)),
        seconds=dice.randint(low, high),
    )


class Ambush:
    """A fault that lies in wait on its machine: `go` lets it happen, `await_back` waits until it
    is over."""

    def __init__(self, cluster: Cluster, fault: Fault) -> None:
        self._fault = fault
        self._ssh = _ssh(cluster, fault.host)
        self._waiting = subprocess.Popen(
            [*self._ssh, _WAIT.format(script=shlex.quote(fault.script))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._waiting.stdout is not None
        self._boot = self._waiting.stdout.readline().strip()
        assert self._boot

    def go(self) -> None:
        """Let it happen; the machine need not be asked for that."""
        assert self._waiting.stdin is not None
        self._waiting.stdin.write("go\n")
        self._waiting.stdin.flush()

    def await_back(self) -> None:
        """Wait until the fault is over and the machine has everything started."""
        end = time.monotonic() + self._fault.seconds + _BACK
        while True:
            done = subprocess.run(
                [*self._ssh, _LOOK], capture_output=True, text=True, timeout=60, check=False
            )
            boot, _, over = done.stdout.partition("\n")
            again = boot != self._boot if self._fault.restarts else "over" in over
            if again and "running" in over:
                return
            said = done.stdout + done.stderr
            assert time.monotonic() < end, f"{self._fault.host} does not come back: {said}"
            time.sleep(0.5)

    def close(self) -> None:
        """Nothing lies in wait any more."""
        self._waiting.kill()
        self._waiting.communicate()


def _rules(places: dict[str, str], target: str, seconds: int) -> str:
    """Rules for so many seconds."""
    rules = [f"{chain} {what} -j {target}" for chain, what in places.items()]
    there = "; ".join(f"iptables -w -I {rule}" for rule in rules)
    gone = "; ".join(f"iptables -w -D {rule}" for rule in rules)
    return f"{there}; sleep {seconds}; {gone}"


def _ssh(cluster: Cluster, host: str) -> list[str]:
    folder = cluster.inventory.parent
    return [
        *("ssh", "-F", "none", "-i", str(folder / "key"), "-o", "BatchMode=yes"),
        *("-o", f"UserKnownHostsFile={folder / 'known_hosts'}"),
        *("-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=5"),
        f"root@{cluster.address(host)}",
    ]
