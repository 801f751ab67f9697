"""`nbops logs`: what the app writes on its nodes."""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from nbops.base.clean import clean
from nbops.base.errors import ActionFailed, Interrupted, NbopsError, UsageError
from nbops.base.secret import Masker
from nbops.cli import show
from nbops.cli.options import Output, Target, expand

if TYPE_CHECKING:
    from nbops.cli.looker import HostLooker
    from nbops.cli.reach import Reach
    from nbops.nocobase.cluster import Cluster, Endpoint
    from nbops.nocobase.runtimes.api import NodePlan

_AGO = re.compile(r"(\d{1,8})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(
        epilog="Examples: nbops logs; nbops logs node1 -f; nbops logs 'app:!node1' --lines 500; "
        "nbops logs --since 10m; nbops logs --since 2026-11-23T08:00:00Z"
    )(expand(logs))


def logs(  # noqa: PLR0917  typer's options
    target: Target,
    output: Output,
    hosts: Annotated[
        list[str] | None,
        typer.Argument(metavar="HOST…", help="Nodes, or patterns of them.", show_default="app"),
    ] = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C as more is written.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, metavar="N", help="The last N lines; 0: all.")
    ] = 100,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="T",
            help="Only what was written since: 90s, 10m, 2h, 1d ago, or a time in UTC.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what the app wrote on its nodes since it was started there, each line after its host.

    Control sequences are removed: what an app logs cannot change your terminal. Secrets of the
    inventory are masked. With --json a line is an object with `host`, `app` and `line`.
    """
    from nbops.cli.looker import cluster_within, side_by_side, unanswered
    from nbops.cli.reach import reach

    after = moment_of(since) if since else None
    with reach(target, output) as reached:
        cluster = cluster_within(reached)
        chosen = _nodes(reached, cluster, ",".join(hosts or ("app",)))
        if follow and len(chosen) > reached.forks:
            raise UsageError(f"--follow of {len(chosen)} nodes needs --forks {len(chosen)}")
        printer = Printer(output.json, max(map(len, chosen)))
        tail = Tail(cluster, lines, after, follow, printer, reached.cluster.masker)
        try:
            found, faults = side_by_side(reached, chosen, tail.of_host)
        except Interrupted:
            if follow:
                return
            raise
    if not found:
        raise unanswered(faults)
    for kept in found.values():
        tail.printer.show(kept)
    _judge(list(faults.values()), as_json=output.json)


def _judge(faults: list[NbopsError], *, as_json: bool) -> None:
    """Tell of the hosts whose logs cannot be shown, after those that can."""
    for fault in faults:
        show.error(fault, as_json=as_json)
    if faults:
        raise typer.Exit(1)


def _nodes(reached: Reach, cluster: Cluster, pattern: str) -> list[str]:
    """The nodes of a pattern. Raises UsageError when there is none."""
    nodes = cluster.groups.get("app", ())
    chosen = [one for one in reached.hosts(pattern) if one in nodes]
    if not chosen:
        raise UsageError(
            f"`{pattern}` means no node: the app runs on {', '.join(nodes)}",
            hint="logs of other hosts: `nbops exec HOST -- journalctl -n 100`",
        )
    return chosen


def moment_of(text: str) -> timedelta | datetime:
    """How long ago (`10m`), or a time in UTC. Raises UsageError for what is neither."""
    ago = _AGO.fullmatch(text)
    if ago:
        return timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since {text}: neither how long ago nor a time",
            hint="`--since 10m` (s, m, h, d), or `--since 2026-11-23T08:00:00Z`",
        ) from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    """A line of an app's log."""

    host: str
    app: str
    text: str


@dataclass(frozen=True)
class Printer:
    """Shows lines, from any number of threads, each after its app."""

    json: bool
    width: int
    turn: threading.Lock = field(default_factory=threading.Lock)

    def show(self, lines: Iterable[Line]) -> None:
        """Show them, nothing of another thread's between."""
        with self.turn:
            for one in lines:
                if self.json:
                    show.line({"kind": "log", "host": one.host, "app": one.app, "line": one.text})
                else:
                    show.text(f"{one.app.ljust(self.width)} | {one.text}")


class Lines:
    """Output that comes in pieces, as whole lines without secrets and control sequences."""

    def __init__(self, masker: Masker) -> None:
        self._mask = masker.text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def take(self, piece: bytes, *, last: bool = False) -> list[str]:
        """The lines that are whole with this piece; with `last`, what is left as well."""
        *whole, self._rest = (self._rest + self._decoder.decode(piece, last)).split("\n")
        if last and self._rest:
            whole, self._rest = [*whole, self._rest], ""
        return [part for line in whole for part in clean(self._mask(line).rstrip("\r")).split("\n")]


@dataclass(frozen=True)
class Tail:
    """What of the logs is wanted."""

    cluster: Cluster
    lines: int
    since: timedelta | datetime | None
    follow: bool
    printer: Printer
    masker: Masker = field(repr=False)

    def of_host(self, host: HostLooker) -> list[Line]:
        """The lines of a host's apps; when they are followed, they are shown as they come.

        Raises ActionFailed when a log cannot be read.
        """
        from nbops.nocobase.plans import node_plans

        member = self.cluster.members[host.host]
        since = self._since(host)
        plans = zip(member.endpoints, node_plans(self.cluster, member), strict=True)
        if not self.follow or len(member.endpoints) == 1:
            return [line for end, plan in plans for line in self._one(host, end, plan, since)]
        with ThreadPoolExecutor(len(member.endpoints), thread_name_prefix="log") as workers:
            each = workers.map(lambda one: self._one(host, one[0], one[1], since), list(plans))
            return [line for lines in each for line in lines]

    def _since(self, host: HostLooker) -> datetime | None:
        """By the host's own clock, as its logs are."""
        if not isinstance(self.since, timedelta):
            return self.since
        now = int(host.probe("date +%s").out)
        return datetime.fromtimestamp(now, UTC) - self.since

    def _one(
        self, host: HostLooker, end: Endpoint, plan: NodePlan, since: datetime | None
    ) -> list[Line]:
        from nbops.nocobase.plans import runtime_of

        runtime = runtime_of(self.cluster.members[host.host])
        form = "%Y-%m-%dT%H:%M:%SZ" if runtime.kind == "compose" else "%Y-%m-%d %H:%M:%S UTC"
        after = since.strftime(form) if since else ""
        script = runtime.log_script(plan, self.lines, after, follow=self.follow)
        lines = Lines(self.masker)

        def told(piece: bytes, *, last: bool = False) -> list[Line]:
            return [Line(host.host, end.name, text) for text in lines.take(piece, last=last)]

        if self.follow:
            outcome = host.follow(script, lambda piece: self.printer.show(told(piece)))
            self.printer.show(told(b"", last=True))
            found: list[Line] = []
        else:
            outcome = host.probe(script)
            found = told(outcome.stdout, last=True)
        if not outcome.ok:
            why = found[-1].text if found else outcome.err.strip()
            raise ActionFailed(
                f"cannot read the log of {end.name}: {why or f'status {outcome.status}'}",
                hint="`nbops status` tells whether it runs",
            )
        return found
