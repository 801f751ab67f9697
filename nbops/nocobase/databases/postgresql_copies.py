"""Backups of PostgreSQL, by its own tools, in its custom format. Pure.

A managed server is asked as its owner through its socket; another one as the app's user, who
must own the database and have the right to create others (CREATEDB).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbops.base.command import quote
from nbops.base.secret import Secret
from nbops.nocobase.databases.copies import (
    Access,
    Held,
    Layout,
    Restore,
    Server,
    Swap,
    read_mark,
    rows,
)
from nbops.nocobase.databases.postgresql import identifier, literal
from nbops.nocobase.databases.watched import fed, room_script, watched

_PACKAGE = "`apt-get install postgresql-client`, of the server's version or newer"
_LOCK_WAIT = "30s"
_RENAME_TRIES = 10
_OWNER = "runuser -u postgres --"
# Settings that hold lists are kept as they are written in SQL (PostgreSQL's GUC_LIST_QUOTE).
_LISTS = "'search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries'"


class PostgresqlCopies:
    """Backups of the database `postgres`."""

    kind = "postgres"
    programs = dict.fromkeys(("psql", "pg_dump", "pg_restore"), _PACKAGE)
    renames = True

    def login(self, access: Access, password: Secret) -> Secret:
        """A password file (PGPASSFILE)."""
        escaped = password.reveal().replace("\\", "\\\\").replace(":", "\\:")
        return Secret(f"*:{access.port}:*:*:{escaped}\n")

    def server_script(self, access: Access) -> str:
        """Sizes are told only of databases that one may connect to."""
        room = (
            ""
            if access.host
            else f"""\
data=$({fed("SHOW data_directory;", _psql(access, "postgres"))}) || exit
{room_script('"$data"')}"""
        )
        return f"""\
printf 'tool\\t%s\\n' "$({_tool(access, "pg_dump")} --version)"
{fed(_SERVER_SQL, _psql(access, "postgres"))} || exit
{room}"""

    def read_server(self, output: str) -> Server:
        """The answer of `server_script`."""
        found = rows(output)
        named = {row[0]: row[1] for row in found if len(row) > 1}
        held = [
            Held(row[1], int(row[2]), row[3], read_mark(row[4]))
            for row in found
            if row[0] == "database"
        ]
        tool = "".join(named["tool"].partition(")")[2].split()[:1])
        return Server(
            version=int(named["version"]) // 10000,
            tool=int(tool.partition(".")[0]),
            databases={one.name: one for one in held},
            free=int(named["free"]) if "free" in named else None,
            creates=("%",) if named["creates"] == "t" else (),
        )

    def right_to_create(self, user: str, _name: str) -> str:
        """The right is the role's, whatever the database is called."""
        return f"ALTER ROLE {user} CREATEDB"

    def inside_script(self, access: Access, database: str, layout: Layout) -> str:
        """Every table is looked for first: a database that is new has none of them."""
        schema = identifier(layout.schema or "public")
        versions = f"{schema}.{identifier(layout.versions)}"
        applications = f"{schema}.{identifier(layout.applications)}"
        # Names are quoted above.
        sql = f"""\
SELECT to_regclass({literal(versions)}) IS NOT NULL AS versions,
       to_regclass({literal(applications)}) IS NOT NULL AS applications \\gset
\\if :versions
SELECT 'version', "value" FROM {versions} LIMIT 1;
\\endif
\\if :applications
SELECT 'application', "name", translate("options"::text, E'\\n\\r\\t', '   ') FROM {applications};
\\endif
SELECT 'foreign', ftrelid::regclass FROM pg_foreign_table;
{_BEYOND_SQL}"""  # noqa: S608
        return fed(sql, _psql(access, database)) + "\n"

    def ending(self, _server: Server) -> str:
        """The tools pack by themselves."""
        return "dump"

    def dump_script(self, access: Access, database: str, file: str, server: Server) -> str:
        """A table that another holds locked is waited for half a minute, not for ever."""
        packing = "zstd:1" if min(server.tool, server.version) >= 16 else "1"
        command = (
            f"{_tool(access, 'pg_dump')} {_target(access)} -d {_conninfo(database)}"
            f" --format=custom --compress={packing} --lock-wait-timeout={_LOCK_WAIT}"
            f" --no-password > {quote(file)}"
        )
        return watched(command, file)

    def check_script(self, file: str) -> str:
        """The table of contents alone would not show that the end is missing."""
        path = quote(file)
        return f"""\
pg_restore --file=/dev/null {path} || exit
listed=$(pg_restore --list {path}) || exit
printf 'tables %s\\n' "$(printf '%s\\n' "$listed" | grep -c ' TABLE DATA ')"
"""

    def restore_script(self, access: Access, restore: Restore) -> str:
        """Rights and settings of the database itself are no part of a dump: they are taken
        over from the present one."""
        new = restore.new
        psql = _psql(access, "postgres")
        jobs = f"--jobs={restore.jobs}" if restore.jobs > 1 else ""
        # A pool of the tools reads the file by itself, as the server's owner.
        opened = f"chgrp postgres {quote(restore.file)} && chmod 0640 {quote(restore.file)} || exit"
        return f"""\
{"" if access.host else opened}
{fed(_create_sql(restore), psql)} || exit
{_tool(access, "pg_restore")} {_target(access)} -d {_conninfo(new)} --exit-on-error --verbose \\
    --no-password {jobs} {"" if access.host else "/dev/stdin"} \\
    {quote(restore.file) if access.host else "< " + quote(restore.file)} || exit
{fed("ANALYZE;", _psql(access, new))} || exit
{fed(_take_over_sql(restore), psql)} || exit
{self.note_script(access, new, restore.mark)}"""

    def count_script(self, access: Access, database: str) -> str:
        """Rows are counted, not guessed from statistics."""
        return fed(_COUNT_SQL, _psql(access, database)) + "\n"

    def likeness_script(self, access: Access, old: str, new: str) -> str:
        """Owner, encoding, locale, rights, settings; and extensions, inside."""
        extensions = "SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension;"
        return f"""\
{fed(_likeness_sql(old, new), _psql(access, "postgres"))} || exit
old=$({fed(extensions, _psql(access, old))}) && new=$({fed(extensions, _psql(access, new))}) || exit
[ "$old" = "$new" ] || printf 'differs extensions\\t%s\\t%s\\n' "$old" "$new"
"""

    def swap_script(self, access: Access, swaps: Sequence[Swap], _layout: Layout) -> str:
        """All renames are one transaction. Nobody may connect meanwhile; sessions that were
        there are ended. When it fails the present databases are open again, as they were."""
        steps = [
            (old, new, swap.new)
            for swap in swaps
            for old, new in ((swap.live, swap.kept), (swap.new, swap.live))
        ]
        return _renamed(access, steps, {swap.kept: swap.note for swap in swaps})

    def back_script(self, access: Access, swaps: Sequence[Swap]) -> str:
        """The same renames the other way round."""
        steps = [
            (old, new, swap.kept)
            for swap in swaps
            for old, new in ((swap.live, swap.new), (swap.kept, swap.live))
        ]
        return _renamed(access, steps, {})

    def closed_script(self, access: Access) -> str:
        """Asked in a database that is never closed."""
        return fed(_CLOSED_SQL, _psql(access, "postgres")) + "\n"

    def open_script(self, access: Access, databases: Sequence[str]) -> str:
        """Those that are not there are left out."""
        return fed(_open_sql(databases, "true"), _psql(access, "postgres")) + "\n"

    def note_script(self, access: Access, database: str, mark: str) -> str:
        """Its comment."""
        sql = f"COMMENT ON DATABASE {identifier(database)} IS {literal(mark)};"
        return fed(sql, _psql(access, "postgres")) + "\n"

    def drop_script(self, access: Access, database: str) -> str:
        """Sessions in it are ended."""
        sql = f"DROP DATABASE IF EXISTS {identifier(database)} WITH (FORCE);"
        return fed(sql, _psql(access, "postgres")) + "\n"


_SERVER_SQL = """\
SELECT 'version', current_setting('server_version_num');
SELECT 'creates', rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user;
SELECT 'database', datname,
       CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END,
       pg_get_userbyid(datdba),
       translate(coalesce(shobj_description(oid, 'pg_database'), ''), E'\\n\\r\\t', '   ')
  FROM pg_database WHERE NOT datistemplate;
"""

# What only a superuser can make, for who is none. `trusted` came with version 13; what bears a
# low number is in every new database already.
_BEYOND_SQL = """\
SELECT 'beyond', extname
  FROM pg_extension e JOIN pg_available_extensions a ON a.name = extname
  JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
 WHERE e.oid >= 16384 AND v.superuser AND NOT coalesce((to_jsonb(v) ->> 'trusted')::bool, false)
   AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
"""

_CLOSED_SQL = """\
SELECT 'closed', datname,
       translate(coalesce(shobj_description(oid, 'pg_database'), ''), E'\\n\\r\\t', '   ')
  FROM pg_database WHERE NOT datallowconn AND NOT datistemplate;
"""

# The tables whose data pg_dump writes down: of those that belong to an extension, its settings.
_COUNT_SQL = """\
SELECT format('SELECT %L, count(*) FROM ONLY %I.%I', 'rows', nspname, relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema')
   AND nspname NOT LIKE 'pg\\_temp\\_%'
   AND (NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
        OR EXISTS (SELECT FROM pg_extension WHERE c.oid = ANY (extconfig))) \\gexec
"""


def _create_sql(restore: Restore) -> str:
    """The new database, like the present one; one that an earlier try left is made again."""
    new, owner, like = literal(restore.new), literal(restore.owner), literal(restore.like)
    return f"""\
DROP DATABASE IF EXISTS {identifier(restore.new)} WITH (FORCE);
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0'
              ' ENCODING %L LC_COLLATE %L LC_CTYPE %L', {new}, {owner},
              pg_encoding_to_char(encoding), datcollate, datctype)
       || CASE coalesce(to_jsonb(d) ->> 'datlocprovider', 'c')
          WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L',
                      coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'))
          WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L',
                      to_jsonb(d) ->> 'datlocale')
          ELSE '' END
  FROM pg_database d
 WHERE datname IN ({like}, 'template0')
 ORDER BY datname <> {like} LIMIT 1 \\gexec
"""  # noqa: S608


def _take_over_sql(restore: Restore) -> str:
    """Limits, settings and rights of the present database, said again for the new one."""
    new, like = literal(restore.new), literal(restore.like)
    return f"""\
SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s', {new}, datconnlimit)
  FROM pg_database WHERE datname = {like} AND datconnlimit <> -1 \\gexec
SELECT CASE setrole WHEN 0 THEN format('ALTER DATABASE %I', {new})
       ELSE format('ALTER ROLE %I IN DATABASE %I', pg_get_userbyid(setrole), {new}) END
       || format(' SET %I = ', split_part(one, '=', 1))
       || CASE WHEN split_part(one, '=', 1) IN ({_LISTS}) AND value <> '' THEN value
          ELSE quote_literal(value) END
  FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase,
       unnest(setconfig) one, substr(one, strpos(one, '=') + 1) value
 WHERE datname = {like} \\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {new})
  FROM pg_database WHERE datname = {like} AND datacl IS NOT NULL \\gexec
SELECT format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, {new},
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
              CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_database, aclexplode(datacl)
 WHERE datname = {like} AND grantee <> datdba \\gexec
"""  # noqa: S608


def _likeness_sql(old: str, new: str) -> str:
    """Each thing of two databases, beside each other."""
    return f"""\
WITH seen AS (
    SELECT d.datname, what, value FROM pg_database d, LATERAL (VALUES
        ('owner', pg_get_userbyid(datdba)::text),
        ('encoding', pg_encoding_to_char(encoding)::text),
        ('locale', concat_ws(' ', to_jsonb(d) ->> 'datlocprovider', datcollate, datctype,
            to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')),
        ('connection limit', datconnlimit::text),
        ('grants', (SELECT string_agg(concat_ws(' ', privilege_type, grantee::regrole,
            is_grantable), ', ' ORDER BY privilege_type, grantee) FROM aclexplode(coalesce(
            datacl, acldefault('d', datdba))))),
        ('settings', (SELECT string_agg(concat_ws(' ', setrole::regrole, setconfig::text), ', '
            ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid))
    ) AS things (what, value) WHERE d.datname IN ({literal(old)}, {literal(new)}))
SELECT 'differs ' || a.what, coalesce(a.value, ''), coalesce(b.value, '')
  FROM seen a JOIN seen b USING (what)
 WHERE a.datname = {literal(old)} AND b.datname = {literal(new)}
   AND a.value IS DISTINCT FROM b.value;
"""  # noqa: S608


def _open_sql(names: Sequence[str], open_: str) -> str:
    """Whether anybody may connect to these databases, all or none; those that are not there are
    left out."""
    quoted = ", ".join(literal(name) for name in names)
    return f"""\
BEGIN;
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS {open_}', datname)
  FROM pg_database WHERE datname IN ({quoted}) \\gexec
COMMIT;"""  # noqa: S608


def _renamed(
    access: Access, steps: Sequence[tuple[str, str, str]], notes: Mapping[str, str]
) -> str:
    """Renames databases: each from, to, and the one without which nothing is done."""
    psql = _psql(access, "postgres")
    names = sorted({name for old, new, _ in steps for name in (old, new)})
    return f"""\
{fed(_open_sql(names, "false"), psql)} || exit
left={_RENAME_TRIES}
until {fed(_rename_sql(steps, notes), psql)}; do
    left=$((left - 1))
    if [ "$left" = 0 ]; then
        {fed(_open_sql(names, "true"), psql)}
        exit 1
    fi
    sleep 1
done
{fed(_open_sql(names, "true"), psql)}
"""


def _rename_sql(steps: Sequence[tuple[str, str, str]], notes: Mapping[str, str]) -> str:
    """Ends the sessions and renames. What is done already, or is not there, is left out."""
    quoted = ", ".join(sorted({literal(old) for old, _, _ in steps}))
    renames = "\n".join(
        f"SELECT 'ALTER DATABASE {_doubled(identifier(old))} RENAME TO"  # noqa: S608
        f" {_doubled(identifier(new))}' FROM pg_database WHERE datname = {literal(old)}"
        f" AND EXISTS (SELECT FROM pg_database WHERE datname = {literal(needed)}) \\gexec"
        for old, new, needed in steps
    )
    noted = "\n".join(
        f"SELECT format('COMMENT ON DATABASE %I IS %L', datname, {literal(note)})"  # noqa: S608
        f" FROM pg_database WHERE datname = {literal(name)} \\gexec"
        for name, note in notes.items()
    )
    return f"""\
SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity
 WHERE datname IN ({quoted}) AND pid <> pg_backend_pid() \\gset
BEGIN;
{renames}
{noted}
COMMIT;"""  # noqa: S608


def _doubled(quoted: str) -> str:
    """A quoted name within a text in single quotes."""
    return quoted.replace("'", "''")


def _conninfo(database: str) -> str:
    """A database as the tools take it, whatever is in its name, as one word of the shell."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return quote(f"dbname='{escaped}'")


def _tool(access: Access, program: str) -> str:
    if not access.host:
        return f"cd / && {_OWNER} {program}"
    return f"PGPASSFILE={quote(access.login)} PGCONNECT_TIMEOUT=15 {program}"


def _target(access: Access) -> str:
    if not access.host:
        return f"--port {access.port}"
    return f"--host {quote(access.host)} --port {access.port} --username {quote(access.user)}"


def _psql(access: Access, database: str) -> str:
    return (
        f"( {_tool(access, 'psql')} {_target(access)} -d {_conninfo(database)} --no-psqlrc"
        " --quiet --tuples-only --no-align --field-separator '\t'"
        " --set ON_ERROR_STOP=1 --no-password )"
    )
