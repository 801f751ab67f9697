"""The database of a cluster as backups see it: where its tools run, how they reach it, what
they are told. Pure but for the file with the password."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from nbops.actions.api import ActionContext
from nbops.base.command import Outcome
from nbops.base.errors import ActionFailed, RefusedError
from nbops.base.secret import Secret, reveal
from nbops.nocobase.backups import Shelf
from nbops.nocobase.cluster import Cluster, Member
from nbops.nocobase.databases.copies import (
    Access,
    Application,
    Copies,
    Held,
    Inside,
    Layout,
    Server,
    left_closed,
    read_inside,
)
from nbops.nocobase.databases.kinds import copies
from nbops.nocobase.releases import newest
from nbops.nocobase.shelf import Asks, shelf_of

T = TypeVar("T")
IN_USE = "nocobase_database"


@dataclass(frozen=True)
class DatabaseHere:
    """The cluster's database. `host` is where its tools run and its backups lie; `name` is the
    database in use, `origin` the one that the inventory names."""

    cluster: Cluster
    copies: Copies
    host: Member
    access: Access
    name: str
    origin: str
    owner: str
    layout: Layout
    shelf: Shelf
    password: Secret = field(repr=False)


@dataclass(frozen=True)
class Seen:
    """The server, what stands in the app's database, and the databases that belong to the app:
    its own first, then those of its sub-applications. `absent` ones were never made."""

    server: Server
    inside: Inside
    databases: Sequence[Application]
    absent: Sequence[str] = ()

    @classmethod
    def nothing(cls) -> Seen:
        """A server that could not be asked."""
        return cls(Server(0, 0, {}), Inside(), ())

    @property
    def held(self) -> int:
        """Bytes that they take on the server."""
        return sum(self.server.databases[one.database].size for one in self.databases)


def tools_host(cluster: Cluster) -> Member:
    """Where the database's tools run: its own host when nbops runs it, else the first node."""
    own = cluster.group("database")
    if cluster.part("database").get("managed") and own:
        return own[0]
    return cluster.nodes[0]


def in_use(cluster: Cluster, *, told_now: bool = True) -> str:
    """The database that the app uses: the one of the inventory, unless a restore put another
    one in its place (`nocobase_database`, told by the swap and kept with the release).
    `told_now=False`: as it was before this run."""
    told = [cluster.fact(host, IN_USE) for host in cluster.members] if told_now else []
    record = newest(cluster.fact(host, "nocobase_release") for host in cluster.members) or {}
    for name in (*told, record.get("database")):
        if name:
            return str(name)
    return str(cluster.part("database")["name"])


def database_here(cluster: Cluster) -> DatabaseHere:
    """The cluster's database. Raises RefusedError for a kind that is not built."""
    part, env = cluster.part("database"), cluster.settings.get("env") or {}
    managed = bool(part.get("managed"))
    user = str(part["user"])
    kind = str(part["kind"])
    return DatabaseHere(
        cluster=cluster,
        copies=copies(kind),
        host=tools_host(cluster),
        access=Access(
            port=int(part["port"]),
            host="" if managed else str(part.get("host") or _first_address(cluster)),
            user="" if managed else user,
        ),
        name=in_use(cluster),
        origin=str(part["name"]),
        owner=user,
        layout=Layout(
            schema=reveal(env.get("DB_SCHEMA", "")),
            prefix=reveal(env.get("DB_TABLE_PREFIX", "")),
            underscored=reveal(env.get("DB_UNDERSCORED", "")) == "true",
            schemas=reveal(env.get("USE_DB_SCHEMA_IN_SUBAPP", "")) == "true" and kind == "postgres",
        ),
        shelf=shelf_of(cluster),
        password=Secret(reveal(part["password"])),
    )


def _first_address(cluster: Cluster) -> str:
    hosts = cluster.group("database")
    if not hosts:
        raise RefusedError(
            "nothing says where the database is",
            hint="set `database.host`, or name a host in the group `database`",
        )
    return hosts[0].address


def ready(here: DatabaseHere, ctx: ActionContext) -> DatabaseHere:
    """With the password on the host of the tools, in the run's own folder, where one is needed.

    Raises ActionFailed when a program is missing there.
    """
    names = " ".join(here.copies.programs)
    missing = ctx.probe(
        f"for one in {names}; do command -v $one >/dev/null 2>&1 || echo $one; done"
    ).out.split()
    if missing:
        raise ActionFailed(
            f"{ctx.host} has no {', '.join(f'`{name}`' for name in missing)}, which the backup"
            " of the database needs",
            hint=f"on {ctx.host}: {here.copies.programs[missing[0]]}",
        )
    return with_login(here, ctx.stage)


def with_login(here: DatabaseHere, put: Callable[[bytes], str]) -> DatabaseHere:
    """With the password in a file that `put` makes on the host of the tools, where the server
    wants one."""
    if not here.access.host:
        return here
    content = here.copies.login(here.access, here.password).reveal()
    return replace(here, access=replace(here.access, login=put(content.encode())))


def opened(here: DatabaseHere, ctx: ActionContext) -> list[str]:
    """Lets connections in again where a swap that was cut short (the machine went down, its
    deadline passed) still keeps them out; gives the names. Else nothing could look inside, and
    with that no way back would be left.

    Raises ActionFailed when the server does not answer.
    """
    script = here.copies.closed_script(here.access)
    closed = asked(here, ctx, script, lambda out: left_closed(out, here.name))
    if closed and not ctx.check:
        outcome = ctx.act(here.copies.open_script(here.access, closed))
        if not outcome.ok:
            raise failed(f"cannot let connections into {', '.join(closed)}", outcome)
    return closed


def look(here: DatabaseHere, ctx: Asks) -> Seen:
    """The server and the app's databases as they are now.

    Raises ActionFailed when it does not answer, has no such database, has tools that are too
    old, or when a sub-application's database is on a server that nbops does not know.
    """
    server = asked(here, ctx, here.copies.server_script(here.access), here.copies.read_server)
    if server.tool < server.version:
        raise ActionFailed(
            f"the tools on {ctx.host} are of version {server.tool}, the database is of version"
            f" {server.version}",
            hint=f"on {ctx.host}: {next(iter(here.copies.programs.values()))}",
        )
    if here.name not in server.databases:
        return Seen(server, Inside(), ())
    script = here.copies.inside_script(here.access, here.name, here.layout)
    inside = asked(here, ctx, script, lambda out: read_inside(out, here.layout))
    return _with_applications(here, server, inside)


def _with_applications(here: DatabaseHere, server: Server, inside: Inside) -> Seen:
    own = {"", here.access.host, str(here.cluster.part("database").get("host") or "")}
    own |= {member.address for member in here.cluster.group("database")}
    away = [one for one in inside.applications if one.host not in own]
    if away:
        names = ", ".join(f"`{one.name}` (on {one.host})" for one in away)
        raise ActionFailed(
            f"sub-applications have their databases on other servers: {names}",
            hint="nbops backs up the cluster's own server only; move them there, or remove the"
            " applications that are no longer in use",
        )
    there = [one for one in inside.applications if one.database in server.databases]
    absent = [one.name for one in inside.applications if one.database not in server.databases]
    return Seen(server, inside, (Application("", "", here.name), *there), tuple(absent))


def asked(here: DatabaseHere, ctx: Asks, script: str, read: Callable[[str], T]) -> T:
    """What a script that changes nothing tells. Raises ActionFailed when it fails."""
    return answer_of(here, ctx.host, ctx.probe(script), read)


def answer_of(here: DatabaseHere, host: str, outcome: Outcome, read: Callable[[str], T]) -> T:
    """What such a script told on a host. Raises ActionFailed when it failed."""
    if not outcome.ok:
        raise failed(f"cannot ask the database {here.name} from {host}", outcome)
    try:
        return read(outcome.out)
    except (KeyError, ValueError, IndexError) as error:
        raise ActionFailed(
            f"cannot make out what the database {here.name} answered: {error!r}"
        ) from error


def failed(what: str, outcome: Outcome, hint: str | None = None) -> ActionFailed:
    """An error from what a script said last."""
    lines = [line for line in outcome.err.strip().splitlines() if line.strip()]
    return ActionFailed(
        f"{what}: {' / '.join(lines[-3:]) or f'status {outcome.status}'}", hint=hint
    )


def kept_in(seen: Seen) -> list[Held]:
    """The databases that restores replaced, or left half-way; never one that is in use."""
    used = {one.database for one in seen.databases}
    return [
        one
        for one in seen.server.databases.values()
        if one.name not in used and any(word in one.mark for word in ("kept", "new", "trial"))
    ]
