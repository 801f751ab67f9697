"""PostgreSQL as Debian packages it, run by nbops on the `database` host.

The server's own files stay as they are: settings go into a file of their own in `conf.d`,
and into a marked block at the end of `pg_hba.conf`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nbops.actions.api import ActionContext, Result
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.nocobase.databases.api import DatabasePlan, act_sql
from nbops.nocobase.databases.scram import fits, verifier
from nbops.nocobase.files import Wanted, different, diffs, put_script, stage
from nbops.nocobase.kept import Service

_BEGIN = "# nbops: begin (written at every deploy)"
_END = "# nbops: end"
_BLOCK = re.compile(rf"\n*^{re.escape(_BEGIN)}$.*?^{re.escape(_END)}\n?", re.MULTILINE | re.DOTALL)
_START_SECONDS = 60

_INSTANCE = """\
command -v pg_lsclusters >/dev/null || { echo 'pg_lsclusters is not there' >&2; exit 1; }
pg_lsclusters --no-header
"""
_AS_POSTGRES = "runuser -u postgres --"


@dataclass(frozen=True, slots=True)
class Instance:
    """A server of Debian's kind: version and name are also its folder and its unit."""

    version: str
    name: str
    port: int
    online: bool

    @property
    def folder(self) -> str:
        """Where its settings are."""
        return f"/etc/postgresql/{self.version}/{self.name}"

    @property
    def settings(self) -> str:
        """The file of settings that is ours."""
        return f"{self.folder}/conf.d/nbops.conf"

    @property
    def access(self) -> str:
        """The file that says who may connect."""
        return f"{self.folder}/pg_hba.conf"

    @property
    def unit(self) -> str:
        """Its systemd unit."""
        return f"postgresql@{self.version}-{self.name}.service"


@dataclass(frozen=True, slots=True)
class Present:
    """What a server holds of what the cluster needs. `kept` is the password's kept form."""

    role: bool
    kept: str
    database: bool
    owner: str
    encoding: str


class Postgresql:
    """The database `postgres`."""

    kind = "postgres"
    programs = ("psql", "pg_lsclusters")

    def serve(self, plan: DatabasePlan, ctx: ActionContext) -> Result:
        """A restart for settings, a reload for who may connect; neither when all is as it is."""
        instance = self._instance(ctx)
        access = access_rules(ctx.fetch(instance.access).decode(), plan)
        files = (
            Wanted(instance.settings, settings_file(plan)),
            Wanted(instance.access, access, 0o640, "postgres", "postgres"),
        )
        changed = different(ctx, files)
        running = ctx.probe(running_script(instance)).ok
        shown = diffs(ctx, changed)
        if (changed or not running) and not ctx.check:
            restart = files[0] in changed or not running or instance.port != plan.port
            script = put_script(stage(ctx, changed)) + serve_script(instance, plan.port, restart)
            outcome = ctx.act(script)
            if not outcome.ok:
                raise ActionFailed(
                    f"PostgreSQL on {ctx.host} does not run as configured: {outcome.err.strip()}",
                    hint=f"its log is in /var/log/postgresql/ on {ctx.host}",
                )
        return Result(
            changed=bool(changed) or not running,
            diff=shown or None,
            values={"version": instance.version, "files": [file.path for file in changed]},
        )

    def create(self, plan: DatabasePlan, ctx: ActionContext) -> Result:
        """The password goes as the verifier that the server keeps, so no log can hold it."""
        present = self._present(plan, ctx)
        sql = create_sql(plan, present)
        if present and present.database and present.owner != plan.user:
            raise ActionFailed(
                f"the database {plan.name} on {ctx.host} belongs to {present.owner},"
                f" not to {plan.user}",
                hint="name another database or user in the inventory (database.name, .user)",
            )
        return act_sql(sql_script(plan.port), sql, f"cannot make the database {plan.name}", ctx)

    def service(self, ctx: ActionContext) -> Service:
        """Its settings need a restart, who may connect a reload."""
        instance = self._instance(ctx)
        return Service(
            instance.unit, "postgresql.service", (instance.settings,), (instance.access,)
        )

    def held(self, plan: DatabasePlan, ctx: ActionContext) -> Sequence[str]:
        """The database and the role."""
        present = self._present(plan, ctx)
        if present is None:
            return ()
        there = (("database", present.database), ("role", present.role))
        return tuple(name for name, is_there in there if is_there)

    def remove(self, plan: DatabasePlan, held: Sequence[str], ctx: ActionContext) -> Result:
        """Whoever is connected is cut off."""
        now = self.held(plan, ctx)
        sql = remove_sql(plan, [name for name in now if name not in held])
        return act_sql(sql_script(plan.port), sql, f"cannot remove the database {plan.name}", ctx)

    def _instance(self, ctx: ActionContext) -> Instance:
        outcome = ctx.probe(_INSTANCE)
        found = read_instances(outcome.out)
        if not outcome.ok or not found:
            raise ActionFailed(
                f"there is no PostgreSQL server on {ctx.host}",
                hint=f"on {ctx.host}: `apt-get install postgresql`",
            )
        return found[-1]

    def _present(self, plan: DatabasePlan, ctx: ActionContext) -> Present | None:
        outcome = ctx.probe(sql_script(plan.port), stdin=present_sql(plan).encode())
        if outcome.ok:
            return read_present(outcome.out)
        if ctx.check:
            return None
        raise ActionFailed(f"cannot ask PostgreSQL on {ctx.host}: {outcome.err.strip()}")


def read_instances(output: str) -> list[Instance]:
    """The answer of `pg_lsclusters`, the newest version last."""
    rows = [line.split() for line in output.splitlines()]
    found = [Instance(r[0], r[1], int(r[2]), r[3].startswith("online")) for r in rows if len(r) > 3]
    return sorted(found, key=lambda one: [int(part) for part in one.version.split(".")])


def settings_file(plan: DatabasePlan) -> str:
    """Listens everywhere: `pg_hba.conf` says who may come in, and an address that is not
    there yet while the machine boots is then no trouble."""
    return f"""\
# Written by nbops; what is changed here by hand is put back by the next deploy.
listen_addresses = '*'
port = {plan.port}
password_encryption = 'scram-sha-256'
"""


def access_rules(text: str, plan: DatabasePlan) -> str:
    """`pg_hba.conf` with the nodes' addresses, and no others, let in to the database."""
    rows = [
        f"host  {_name(plan.name)}  {_name(plan.user)}  {address_rule(client)}  scram-sha-256"
        for client in plan.clients
    ]
    block = "\n".join([_BEGIN, *rows, _END])
    return f"{_BLOCK.sub('', text).rstrip()}\n\n{block}\n"


def address_rule(address: str) -> str:
    """An address as it stands in `pg_hba.conf`; a host name stands for itself."""
    try:
        return str(ipaddress.ip_network(address))
    except ValueError:
        return address


def running_script(instance: Instance) -> str:
    """Succeeds when the server runs, and will after a reboot."""
    return (
        f"systemctl is-active --quiet {quote(instance.unit)}"
        " && systemctl is-enabled --quiet postgresql.service\n"
    )


def serve_script(instance: Instance, port: int, restart: bool) -> str:
    """Has the server run with its files as they are now, and waits until it answers."""
    verb = "restart" if restart else "reload"
    return f"""\
systemctl enable --quiet postgresql.service
systemctl {verb} {quote(instance.unit)}
left={_START_SECONDS}
until {_AS_POSTGRES} pg_isready --quiet --port {port}; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || {{ echo 'it does not answer' >&2; exit 1; }}
    sleep 1
done
"""


def sql_script(port: int) -> str:
    """Runs the statements of standard input as the server's owner, all or up to the first
    that fails."""
    return (
        f"cd / && {_AS_POSTGRES} psql --no-psqlrc --quiet --tuples-only --no-align"
        f" --field-separator '\t' --set ON_ERROR_STOP=1 --port {port} --dbname postgres\n"
    )


def present_sql(plan: DatabasePlan) -> str:
    """Asks what is there already; gives one row."""
    role, name = literal(plan.user), literal(plan.name)
    # Both values are quoted above.
    return f"""\
SELECT r.rolname IS NOT NULL, coalesce(r.rolpassword, ''), d.datname IS NOT NULL,
       coalesce(pg_get_userbyid(d.datdba), ''),
       (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'template0')
FROM (SELECT 1) one
LEFT JOIN pg_authid r ON r.rolname = {role} LEFT JOIN pg_database d ON d.datname = {name};
"""  # noqa: S608


def read_present(output: str) -> Present:
    """The answer of `present_sql`."""
    role, kept, database, owner, encoding = output.rstrip("\n").split("\t")
    return Present(role == "t", kept, database == "t", owner, encoding)


def create_sql(plan: DatabasePlan, present: Present | None) -> str:
    """The statements that are missing; empty when nothing is. None: nothing is there."""
    there = present or Present(False, "", False, "", "UTF8")
    password = plan.password.reveal()
    role = identifier(plan.user)
    lines = []
    if not there.role:
        lines.append(f"CREATE ROLE {role} LOGIN PASSWORD {literal(verifier(password))};")
    elif not fits(there.kept, password):
        lines.append(f"ALTER ROLE {role} LOGIN PASSWORD {literal(verifier(password))};")
    if not there.database:
        # A server made without a locale would give a database without Unicode.
        locale = "" if there.encoding == "UTF8" else " LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
        lines.append(
            f"CREATE DATABASE {identifier(plan.name)} OWNER {role}"
            f" TEMPLATE template0 ENCODING 'UTF8'{locale};"
        )
    return "\n".join(lines)


def remove_sql(plan: DatabasePlan, made: Sequence[str]) -> str:
    """The statements that take away what was made: the database first, which its owner owns."""
    lines = []
    if "database" in made:
        lines += [
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"  # noqa: S608 - quoted
            f" WHERE datname = {literal(plan.name)};",
            f"DROP DATABASE IF EXISTS {identifier(plan.name)};",
        ]
    if "role" in made:
        lines.append(f"DROP ROLE IF EXISTS {identifier(plan.user)};")
    return "\n".join(lines)


def identifier(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it, with `standard_conforming_strings` on or off."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def _name(name: str) -> str:
    """A name in `pg_hba.conf`: quoted, so that none is a keyword such as `all`."""
    return '"' + name.replace('"', '""') + '"'
