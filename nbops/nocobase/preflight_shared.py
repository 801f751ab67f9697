"""What is wrong between hosts: found from the looks of all of them together. Pure."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from nbops.nocobase.preflight_host import host_findings
from nbops.nocobase.preflight_keys import key_findings
from nbops.nocobase.preflight_model import Finding, Level, Look, Situation
from nbops.nocobase.preflight_servers import databases, reach, redis_servers

SKEW_WARNING = 5.0
SKEW_PROBLEM = 60.0
_ORDER = {Level.PROBLEM: 0, Level.WARNING: 1, Level.NOTE: 2}
# File systems that are one machine's own, as `stat -f` names them.
_OWN = {"ext2/ext3", "xfs", "btrfs", "zfs", "overlayfs", "tmpfs"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its id on a host (empty: not there yet) and its digests in registries."""

    identity: str
    digests: frozenset[str]

    @property
    def short(self) -> str:
        """What a message calls it."""
        return _short(min(self.digests) if self.digests else self.identity)


def all_findings(situation: Situation) -> list[Finding]:
    """Everything, for all hosts: by host in the inventory's order, the worst first."""
    found = [
        one
        for host, look in situation.looks.items()
        for one in host_findings(situation.needs[host], look)
    ]
    for check in (
        clocks,
        zones,
        locks,
        images,
        storages,
        reach,
        redis_servers,
        databases,
        plugins,
        key_findings,
    ):
        found += check(situation)
    place = {host: number for number, host in enumerate(situation.needs)}
    return sorted(dict.fromkeys(found), key=lambda one: (place[one.host], _ORDER[one.level]))


def offset(look: Look) -> tuple[float, float] | None:
    """By how much a host's clock is ahead of ours, at least and at most, in seconds.

    It began to look after we asked, and had ended before we had its answer.
    """
    try:
        return float(look.text("end")) - look.ended, float(look.text("begin")) - look.began
    except ValueError:
        return None


def clocks(situation: Situation) -> Iterator[Finding]:
    """Hosts whose clocks are away from most others', and our own."""
    offsets = {host: at for host, look in situation.looks.items() if (at := offset(look))}
    if not offsets:
        return
    middle = statistics.median(sum(at) / 2 for at in offsets.values())
    for host, (low, high) in offsets.items():
        gap = max(low - middle, middle - high, 0.0)
        if gap < SKEW_WARNING:
            continue
        level = Level.PROBLEM if gap >= SKEW_PROBLEM else Level.WARNING
        way = "ahead" if low > middle else "behind"
        yield Finding(
            host,
            level,
            f"its clock is {_span(gap)} {way}: sign-ins and schedules go wrong between nodes",
            "`timedatectl set-ntp true`, or `chronyc makestep`",
        )
    ours = max(min(low for low, _ in offsets.values()), -max(high for _, high in offsets.values()))
    if ours >= SKEW_WARNING:
        way = "behind" if min(low for low, _ in offsets.values()) > 0 else "ahead of"
        yield Finding(
            situation.first,
            Level.WARNING,
            f"this computer's clock is {_span(ours)} {way} the hosts': its times in the"
            " history are off by that",
            "set the clock of the computer that runs nbops",
        )


def zones(situation: Situation) -> Iterator[Finding]:
    """Time zones: no harm to the app in a container, but logs are hard to read together."""
    found = {host: zone for host in situation.looks if (zone := situation.look(host).text("zone"))}
    for host, zone, usual in _odd(found):
        yield Finding(
            host,
            Level.NOTE,
            f"its time zone is {zone}, elsewhere it is {usual}: its logs show other hours",
            "`timedatectl set-timezone …`, the same on every host",
        )


def locks(situation: Situation) -> Iterator[Finding]:
    """Another run that holds the cluster, or was cut off."""
    seen: dict[str, tuple[int, str, str]] = {}
    for host, look in situation.looks.items():
        for state, age, holder in (row for row in look.all("lock") if len(row) == 3):
            if state in {"held", "parked"}:
                ahead = age.removeprefix("-")  # the host's clock was set back since
                seconds = int(ahead) if ahead.isdecimal() else 0
                seen[holder] = min(seen.get(holder, (seconds, state, host)), (seconds, state, host))
    for text, (silent, state, host) in seen.items():
        try:
            holder = json.loads(text)
            run, who, command = (str(holder[key]) for key in ("run", "owner", "command"))
        except (ValueError, KeyError, TypeError):
            continue
        if run == situation.run:
            continue
        what, hint = _holds(run, state, silent)
        message = f"`{command}` of {who} holds the cluster (run {run}), and {what}"
        yield Finding(host, Level.WARNING, message, hint)


def _holds(run: str, state: str, silent: int) -> tuple[str, str]:
    """What the run does that holds the lock, silent for so many seconds, and what to do."""
    breaking = f"`nbops lock break {run}`"
    if state == "parked":
        return (
            f"was interrupted {_span(silent)} ago",
            f"`nbops resume {run}` or `nbops abort {run}` on that computer; {breaking} without it",
        )
    if silent > 60:
        return f"gave no sign for {_span(silent)}", f"{breaking} when it is dead"
    return "is at work", "wait until it is done"


def images(situation: Situation) -> Iterator[Finding]:
    """The same tag is the same image on every node, and the one of the release."""
    held = {host: at for host in situation.nodes if (at := _held(situation.look(host)))}
    known = (situation.release or {}).get("images") or {}
    recorded = str(known.get(situation.image, ""))
    if recorded:
        yield from _moved_tags(situation, held, recorded)
        return
    groups: list[list[str]] = []
    for host, one in held.items():
        group = next((hosts for hosts in groups if _same(held[hosts[0]], one)), None)
        if group is None:
            groups.append([host])
        else:
            group.append(host)
    groups.sort(key=len, reverse=True)
    for host in (host for hosts in groups[1:] for host in hosts):
        most = groups[0]
        yield Finding(
            host,
            Level.PROBLEM,
            f"{situation.image} is another image here ({held[host].short}) than on"
            f" {', '.join(most)} ({held[most[0]].short})",
            f"`docker pull {situation.image}` on every node, or name an image whose tag never"
            " moves",
        )


def _moved_tags(
    situation: Situation, held: Mapping[str, Image], recorded: str
) -> Iterator[Finding]:
    """The release says which image is meant; a deploy brings it to where it is not."""
    for host, one in held.items():
        if recorded not in {one.identity, *one.digests}:
            yield Finding(
                host,
                Level.NOTE,
                f"{situation.image} is another image here than in the present release: the tag"
                " has moved",
                f"the deploy brings the recorded one ({_short(recorded)})",
            )


def storages(situation: Situation) -> Iterator[Finding]:
    """A folder on the node's own disk that no other node sees."""
    rows = {
        host: row
        for host in situation.nodes
        if situation.needs[host].storage and (row := situation.look(host).one("storage", 4))
    }
    own = {host: row[1] for host, row in rows.items() if row[0] in _OWN}
    for host, _, _ in _odd(own):
        yield Finding(
            host,
            Level.PROBLEM,
            f"the shared storage {situation.needs[host].storage} is a folder of this host's own"
            f" disk ({rows[host][0]}): the other nodes do not see its files",
            "mount the same network folder on every node (NFS, a shared cloud disk)",
        )


def plugins(situation: Situation) -> Iterator[Finding]:
    """Plugins that the app is told to enable, and that are nowhere to be seen."""
    for host in situation.nodes:
        look, needs = situation.look(host), situation.needs[host]
        there = {row[0] for row in look.all("plugin")} | set(situation.local_plugins)
        has = {row[0] for row in look.all("has")}
        lacks = {row[0] for row in look.all("lacks")} - has
        gone = [
            name
            for name in needs.plugins
            if name not in has and not any(path.endswith(name) for path in there)
        ]
        known = [name for name in gone if name in lacks]
        if not gone or (situation.package_service and not known):
            continue
        names = ", ".join(known or gone)
        yield Finding(
            host,
            Level.WARNING,
            f"the running app does not have {names}: it serves, but nodes do not synchronise"
            if known
            else f"{names}: to be enabled, and not seen here (unless the image has it)",
            "give the credentials of `plugins.package_service`, or the packages in"
            " `plugins.local`; `plugins.append: []` goes without",
        )
        return


def _held(look: Look) -> Image | None:
    """The image that a node has, or would pull."""
    held = look.text("image").split()
    if held:
        digests = (one.rpartition("@")[2] for one in held[1:])
        return Image(held[0], frozenset(digests))
    row = look.one("registry", 2)
    if row is None or row[0] != "200":
        return None
    try:
        return Image("", frozenset({str(json.loads(row[1])["Descriptor"]["digest"])}))
    except (ValueError, KeyError, TypeError):
        return None


def _same(one: Image, other: Image) -> bool:
    """Whether two hosts mean the same image, as far as what is known of them can be compared."""
    if one.digests & other.digests or (one.identity and one.identity == other.identity):
        return True
    comparable = (one.identity and other.identity) or (one.digests and other.digests)
    return not comparable


def _odd(values: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """The hosts whose value is not the most usual one: host, value, the usual one."""
    if not values:
        return []
    usual = Counter(values.values()).most_common(1)[0][0]
    return [(host, value, usual) for host, value in values.items() if value != usual]


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
