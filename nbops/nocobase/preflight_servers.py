"""What is wrong with the servers that all nodes share: database and Redis. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nbops.nocobase.preflight_host import numbers
from nbops.nocobase.preflight_keys import database_row
from nbops.nocobase.preflight_model import Finding, Level, RedisNeed, Situation, Target

REDIS_LEAST = (6,)
REDIS_RECOMMENDED = (8,)


def reach(situation: Situation) -> Iterator[Finding]:
    """Servers that hosts cannot reach; a target that fails everywhere is told once."""
    failed: dict[tuple[Target, str], list[str]] = {}
    for host, look in situation.looks.items():
        targets = {one.name: one for one in situation.needs[host].targets}
        for name, _, _, state in (row for row in look.all("reach") if len(row) == 4):
            target = targets.get(name)
            if (
                target is None
                or state in {"ok", "unknown"}
                or (state == "refused" and target.managed)
            ):
                continue
            failed.setdefault((target, state), []).append(host)
    for (target, state), hosts in failed.items():
        yield Finding(
            hosts[0],
            Level.PROBLEM,
            f"{target.name} ({target.host}:{target.port}) cannot be reached from"
            f" {', '.join(hosts)}: {_why(state)}",
            _cure(state, target.host, target.port),
        )


def redis_servers(situation: Situation) -> Iterator[Finding]:
    """Redis as the nodes reach it: let in, numbers there, version."""
    said: dict[tuple[str, Level, str, str], list[str]] = {}
    for host in situation.nodes:
        needs = situation.needs[host].redis
        for row in situation.look(host).all("redis"):
            if len(row) < 2 or row[0] not in {str(number) for number in range(len(needs))}:
                continue
            need = needs[int(row[0])]
            for level, what, remedy in _redis(need, row[1], row[2] if len(row) > 2 else ""):
                said.setdefault((need.name, level, what, remedy), []).append(host)
    for (name, level, what, remedy), hosts in said.items():
        seen = "" if len(hosts) == len(situation.nodes) else f" from {', '.join(hosts)}"
        yield Finding(hosts[0], level, f"{name}{seen}: {what}", remedy)


def databases(situation: Situation) -> Iterator[Finding]:
    """The database as the nodes sign in to it, and the tools for its backup."""
    errors: dict[str, list[str]] = {}
    for host in situation.nodes:
        need = situation.needs[host].database
        for row in situation.look(host).all("database"):
            if row[0] == "error" and len(row) > 1 and need and not need.managed:
                errors.setdefault(_last(row[1]), []).append(host)
    for text, hosts in errors.items():
        yield Finding(
            hosts[0],
            Level.PROBLEM,
            f"the database does not let the app in from {', '.join(hosts)}: {text}",
            "check `database.name`, `user` and `password`, and who may connect to the server"
            " (pg_hba.conf, grants)",
        )
    asked = database_row(situation)
    if asked is None:
        if not errors and any(
            situation.look(h).text("database") == "none" for h in situation.nodes
        ):
            yield Finding(
                situation.nodes[0],
                Level.NOTE,
                "no host has a client of the database, so its rights could not be looked at",
                "`apt-get install postgresql-client` (or `mariadb-client`) on one node",
            )
        return
    host, (version, create, _, _, _, isolation) = asked
    need = situation.needs[host].database
    if create in {"f", "false"}:
        yield Finding(
            host,
            Level.PROBLEM,
            f"the user `{need.user if need else ''}` may not create tables in the database",
            "`GRANT CREATE ON SCHEMA public TO …`, or make it the owner of the database",
        )
    if isolation == "ON" and need and not need.managed:
        yield Finding(
            host,
            Level.WARNING,
            "MariaDB refuses a row that another connection changed meanwhile"
            " (`innodb_snapshot_isolation`): of nodes that start together one may not come up",
            "set `innodb_snapshot_isolation = OFF` in the server's settings",
        )
    yield from _tools(situation, version)


def _tools(situation: Situation, server: str) -> Iterator[Finding]:
    """A dump needs a tool that is not older than the server."""
    number = numbers(server)
    major = number[0] // 10000 if number and number[0] >= 10000 else (number or (0,))[0]
    for host, look in situation.looks.items():
        row = look.one("tool", 2)
        if not row or row[0] != "pg_dump" or not row[1]:
            continue
        tool = numbers(row[1])
        if tool and tool[0] < major:
            yield Finding(
                host,
                Level.PROBLEM,
                f"{row[0]} is of version {tool[0]}, and the server of {major}: no backup can be"
                " made with it",
                f"`apt-get install postgresql-client-{major}`",
            )


def _redis(need: RedisNeed, state: str, answer: str) -> Iterator[tuple[Level, str, str]]:
    if state == "unknown" or (state == "refused" and need.managed):
        return
    if state != "ok":
        yield (
            Level.PROBLEM,
            f"cannot be reached: {_why(state)}",
            _cure(state, need.host, need.port),
        )
        return
    errors = [part for part in answer.split("  ") if part.strip().startswith("-")]
    version = numbers(answer.partition("redis_version:")[2])
    if errors and need.managed:
        return  # nbops sets the password and the databases itself
    if any(word in answer for word in ("-WRONGPASS", "-NOAUTH", "invalid password")):
        yield (
            Level.PROBLEM,
            "does not take the password",
            "set `redis.password` (or the one in the address) to the server's own",
        )
    elif "without any password" in answer:
        yield (
            Level.PROBLEM,
            "has no password, and one is given",
            "leave `redis.password` out, or set `requirepass` on the server",
        )
    elif "out of range" in answer:
        yield (
            Level.PROBLEM,
            f"does not have database {max(need.numbers)} (for {', '.join(need.functions)})",
            "raise `databases` in redis.conf, or give other numbers",
        )
    elif not version:
        yield (
            Level.PROBLEM,
            f"does not answer as Redis{': ' + answer.strip() if answer.strip() else ''}",
            "is it Redis, and is `rediss://` (TLS) right or wrong for it?",
        )
    if version and version < REDIS_LEAST:
        yield Level.PROBLEM, f"is version {_dotted(version)}, and 6 is the least", "upgrade Redis"
    elif version and version < REDIS_RECOMMENDED:
        yield (
            Level.WARNING,
            f"is version {_dotted(version)}; NocoBase recommends 8 or newer",
            "upgrade Redis when there is time",
        )


def _why(state: str) -> str:
    return {
        "timeout": "nothing answers (a firewall?)",
        "refused": "nothing listens there",
        "name": "the name is not known",
    }.get(state, state.rpartition(": ")[2].strip() or "it does not answer")


def _cure(state: str, host: str, port: int) -> str:
    return {
        "timeout": f"let {port}/tcp through to {host}",
        "refused": f"start it, or correct address and port ({host}:{port})",
        "name": f"correct the name, or put {host} into DNS or /etc/hosts there",
    }.get(state, f"look at the route to {host}")


def _last(text: str) -> str:
    for word in ("FATAL:", "ERROR:", "failed:", "error:"):
        if word in text:
            return text.rpartition(word)[2].strip()
    return text.strip()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
