"""MariaDB as Debian packages it, run by nbops on the `database` host.

The server's own files stay as they are: settings go into a file of their own that is read
after them. Who may come in stands in the server's table of users, by the nodes' addresses.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import ActionFailed
from nbops.nocobase.databases.api import DatabasePlan, act_sql
from nbops.nocobase.files import Wanted, different, diffs, put_script, stage
from nbops.nocobase.kept import Service

OUR_FILE = "/etc/mysql/mariadb.conf.d/90-nbops.cnf"
COLLATION = "utf8mb4_unicode_ci"
_UNIT = "mariadb.service"
_START_SECONDS = 60
_AS_ROOT = "mariadb --protocol=socket --user=root --batch --raw --skip-column-names"


@dataclass(frozen=True, slots=True)
class User:
    """A user as the server keeps it: from where it may come, and its password's kept form."""

    host: str
    kept: str


@dataclass(frozen=True, slots=True)
class Present:
    """What a server holds of what the cluster needs. `granted` are the addresses that have
    all rights on the database."""

    database: bool
    charset: str
    users: Sequence[User]
    granted: Sequence[str]


NOTHING = Present(False, "", (), ())


class Mariadb:
    """The database `mariadb`."""

    kind = "mariadb"
    programs = ("mariadbd", "mariadb", "mariadb-dump")

    def serve(self, plan: DatabasePlan, ctx: ActionContext) -> Result:
        """A restart when the settings are different; nothing when all is as it is."""
        if not ctx.probe("command -v mariadbd >/dev/null && test -d /etc/mysql").ok:
            raise ActionFailed(
                f"there is no MariaDB server on {ctx.host}",
                hint=f"on {ctx.host}: `apt-get install mariadb-server`",
            )
        files = (Wanted(OUR_FILE, settings_file(plan)),)
        changed = different(ctx, files)
        running = ctx.probe(running_script()).ok
        shown = diffs(ctx, changed)
        if (changed or not running) and not ctx.check:
            outcome = ctx.act(put_script(stage(ctx, changed)) + serve_script())
            if not outcome.ok:
                raise ActionFailed(
                    f"MariaDB on {ctx.host} does not run as configured: {outcome.err.strip()}",
                    hint=f"on {ctx.host}: `journalctl -u {_UNIT} -n 50`",
                )
        version = ctx.probe(f"{_AS_ROOT} --execute 'SELECT version()'").out.strip()
        return Result(
            changed=bool(changed) or not running,
            diff=shown or None,
            values={"version": version, "files": [file.path for file in changed]},
        )

    def create(self, plan: DatabasePlan, ctx: ActionContext) -> Result:
        """The password goes in the form that the server keeps, so no log can hold it."""
        sql = create_sql(plan, self._present(plan, ctx))
        return act_sql(sql_script(), sql, f"cannot make the database {plan.name}", ctx)

    def service(self, _ctx: ActionContext) -> Service:
        """Its settings need a restart."""
        return Service(_UNIT, _UNIT, (OUR_FILE,))

    def held(self, plan: DatabasePlan, ctx: ActionContext) -> Sequence[str]:
        """The database, and the users by the address from which they may come."""
        present = self._present(plan, ctx)
        users = tuple(f"user at {user.host}" for user in present.users)
        return ("database", *users) if present.database else users

    def remove(self, plan: DatabasePlan, held: Sequence[str], ctx: ActionContext) -> Result:
        """Users that were made for addresses of nodes go, others of that name stay."""
        now = self.held(plan, ctx)
        sql = remove_sql(plan, [name for name in now if name not in held])
        return act_sql(sql_script(), sql, f"cannot remove the database {plan.name}", ctx)

    def _present(self, plan: DatabasePlan, ctx: ActionContext) -> Present:
        outcome = ctx.probe(sql_script(), stdin=present_sql(plan).encode())
        if outcome.ok:
            return read_present(outcome.out)
        if ctx.check:
            return NOTHING
        raise ActionFailed(f"cannot ask MariaDB on {ctx.host}: {outcome.err.strip()}")


def settings_file(plan: DatabasePlan) -> str:
    """Listens everywhere: the table of users says who may come in. Names are looked up only
    where a node is known by a name: a name server that is away would make logins slow.

    From 11.6.2 on the server refuses to change a row that another one changed meanwhile (error
    1020), unlike before and unlike MySQL; nodes that start together write the same rows, and one
    of them would then not come up. `loose`: earlier servers do not know it.
    Source: MariaDB's page on `innodb_snapshot_isolation`."""
    lookup = "ON" if all(map(_is_address, plan.clients)) else "OFF"
    return f"""\
# Written by nbops; what is changed here by hand is put back by the next deploy.
[mariadbd]
bind-address = *
port = {plan.port}
character-set-server = utf8mb4
collation-server = {COLLATION}
max_allowed_packet = 64M
loose-innodb-snapshot-isolation = OFF
skip-name-resolve = {lookup}
"""


def running_script() -> str:
    """Succeeds when the server runs, and will after a reboot."""
    return f"systemctl is-active --quiet {_UNIT} && systemctl is-enabled --quiet {_UNIT}\n"


def serve_script() -> str:
    """Has the server run with its files as they are now, and waits until it answers."""
    return f"""\
systemctl enable --quiet {_UNIT}
systemctl restart {_UNIT}
left={_START_SECONDS}
until {_AS_ROOT} --execute 'SELECT 1' >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || {{ echo 'it does not answer' >&2; exit 1; }}
    sleep 1
done
"""


def sql_script() -> str:
    """Runs the statements of standard input as the server's root, up to the first that
    fails."""
    return f"{_AS_ROOT}\n"


def present_sql(plan: DatabasePlan) -> str:
    """Asks what is there already; gives a line for each thing."""
    name, user = literal(plan.name), literal(plan.user)
    # Both values are quoted above. A grant's database is a pattern, kept as it was written.
    return f"""\
SELECT 'database', DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA
 WHERE SCHEMA_NAME = {name};
SELECT 'user', Host, authentication_string FROM mysql.user WHERE User = {user};
SELECT 'grant', Host FROM mysql.db
 WHERE User = {user} AND Db IN ({name}, {literal(pattern(plan.name))})
   AND Select_priv = 'Y' AND Drop_priv = 'Y' AND Trigger_priv = 'Y';
"""  # noqa: S608


def read_present(output: str) -> Present:
    """The answer of `present_sql`."""
    rows = [line.split("\t") for line in output.splitlines()]
    charset = next((row[1] for row in rows if row[0] == "database"), None)
    return Present(
        database=charset is not None,
        charset=charset or "",
        users=tuple(User(row[1], row[2]) for row in rows if row[0] == "user"),
        granted=tuple(row[1] for row in rows if row[0] == "grant"),
    )


def create_sql(plan: DatabasePlan, present: Present) -> str:
    """The statements that are missing; empty when nothing is. A node that has gone loses its
    way in; users of that name on the server itself stay."""
    wanted = hashed(plan.password.reveal())
    kept = {user.host: user.kept for user in present.users}
    lines = []
    if not present.database:
        lines.append(
            f"CREATE DATABASE {identifier(plan.name)} CHARACTER SET utf8mb4 COLLATE {COLLATION};"
        )
    for client in plan.clients:
        user = f"{literal(plan.user)}@{literal(client)}"
        if client not in kept:
            lines.append(f"CREATE USER {user} IDENTIFIED BY PASSWORD {literal(wanted)};")
        elif kept[client].upper() != wanted:
            lines.append(f"ALTER USER {user} IDENTIFIED BY PASSWORD {literal(wanted)};")
        if client not in present.granted:
            lines.append(f"GRANT ALL ON {identifier(pattern(plan.name))}.* TO {user};")
    others = kept if plan.deployed else ()
    gone = [host for host in others if host not in plan.clients and _is_address(host)]
    lines += [f"DROP USER {literal(plan.user)}@{literal(host)};" for host in gone]
    return "\n".join(lines)


def remove_sql(plan: DatabasePlan, made: Sequence[str]) -> str:
    """The statements that take away what was made."""
    lines = [
        f"DROP USER IF EXISTS {literal(plan.user)}@{literal(client)};"
        for client in plan.clients
        if f"user at {client}" in made
    ]
    if "database" in made:
        lines.append(f"DROP DATABASE IF EXISTS {identifier(plan.name)};")
    return "\n".join(lines)


def hashed(password: str) -> str:
    """The form in which the server keeps a password for `mysql_native_password`: a `*`, and
    SHA-1 twice, in hex (source: the server's `sql/password.c`). It is not what is sent at a
    login, and opens no door by itself."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


def identifier(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text as SQL takes it."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def pattern(name: str) -> str:
    """A database's name as a grant takes it: `_` and `%` stand for themselves."""
    return name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return host not in {"127.0.0.1", "::1"}
