"""What a look asks the database: version, rights, size, whether the app lives in it, and of
MariaDB whether its snapshot isolation is on.

Asked by the client program where a host has one: as the app's user from elsewhere, as the
server's owner on the server's own host. Nothing is written.
"""

from __future__ import annotations

from nbops.base.command import quote
from nbops.nocobase.preflight_model import DatabaseNeed

_POSTGRES = """\
select current_setting('server_version_num'),
 coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
 pg_database_size(current_database()) / 1048576,
 (select count(*) from pg_class c where c.relkind in ('r', 'p')
  and pg_table_is_visible(c.oid) and c.relnamespace <> 'pg_catalog'::regnamespace),
 case when to_regclass('"applicationVersion"') is null then '' else coalesce((xpath(
  '/row/value/text()', query_to_xml('select value from "applicationVersion" limit 1',
  false, true, '')))[1]::text, '') end"""
_MYSQL = """\
select version(), 'unknown',
 (select coalesce(sum(data_length + index_length), 0) div 1048576
  from information_schema.tables where table_schema = database()),
 (select count(*) from information_schema.tables where table_schema = database()), ''"""


def database_lines(need: DatabaseNeed | None, seconds: int) -> list[str]:
    """The part of the look script that asks the database."""
    if need is None:
        return []
    return [_postgres(need, seconds) if need.kind == "postgres" else _mysql(need, seconds)]


def _postgres(need: DatabaseNeed, seconds: int) -> str:
    flags = "--no-psqlrc --tuples-only --no-align --field-separator '\t'"
    if need.local:
        client = f"cd / && timeout {seconds} runuser -u postgres -- psql {flags} --port {need.port}"
    else:
        client = (
            f'PGPASSWORD="$db_password" PGCONNECT_TIMEOUT={seconds} psql --no-password {flags}'
            f" --host {quote(need.host)} --port {need.port} --username {quote(need.user)}"
        )
    return _ask("psql", f"{client} --dbname {quote(need.name)} --command {quote(_POSTGRES)}")


def _mysql(need: DatabaseNeed, seconds: int) -> str:
    flags = f"--batch --raw --skip-column-names --connect-timeout={seconds}"
    if need.local:
        client = f"timeout {seconds} mariadb --protocol=socket --user=root {flags}"
    else:
        client = (
            f'MYSQL_PWD="$db_password" mariadb --protocol=tcp {flags}'
            f" --host={quote(need.host)} --port={need.port} --user={quote(need.user)}"
        )
    name = quote(need.name)
    version = quote("select value from `applicationVersion` limit 1")
    isolation = quote("show global variables like 'innodb_snapshot_isolation'")
    return _ask(
        "mariadb",
        f"{client} --execute={quote(_MYSQL)} {name}",
        f'answer="$answer$({client} --execute={version} {name} 2>/dev/null | head -n 1)\t'
        f'$({client} --execute={isolation} 2>/dev/null | cut -f 2)"',
    )


def _ask(program: str, command: str, then: str = ":") -> str:
    # The answer is one line; what stands before it are the client's warnings.
    return f"""\
(
    command -v {program} >/dev/null 2>&1 || {{ say database none; exit; }}
    if answer=$({{ {command}; }} 2>&1 </dev/null); then
        answer=$(printf '%s\\n' "$answer" | tail -n 1)
        {then}
        say database ok "$answer"
    else
        say database error "$(printf '%s' "$answer" | flat)"
    fi
) &"""
