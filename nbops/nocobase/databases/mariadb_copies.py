"""Backups of MariaDB and MySQL, by their own tools, as packed SQL. Pure.

Neither can rename a database, and tables with triggers or views cannot be moved between two.
So nothing is moved: the restored database keeps its new name, the app is told it
(DB_DATABASE), and the present one stays untouched.
"""

from __future__ import annotations

import json
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
from nbops.nocobase.databases.mariadb import identifier, literal, pattern
from nbops.nocobase.databases.watched import (
    fed,
    pack,
    packed_ending,
    packer_script,
    room_script,
    unpack,
    watched,
)

_SYSTEM = "'information_schema', 'performance_schema', 'mysql', 'sys'"
_OPTIONS = (
    "--single-transaction --quick --skip-lock-tables --routines --triggers --events --hex-blob"
    " --no-tablespaces --default-character-set=utf8mb4 --max-allowed-packet=1G"
)
# The grantee as these tables write it: 'user'@'host'.
_ME = """\
concat(char(39), left(current_user(), char_length(current_user())
                      - char_length(substring_index(current_user(), '@', -1)) - 1),
       char(39), '@', char(39), substring_index(current_user(), '@', -1), char(39))"""
_RIGHTS = f"""\
SELECT 'creates', '%' FROM information_schema.USER_PRIVILEGES
 WHERE PRIVILEGE_TYPE = 'CREATE' AND GRANTEE = {_ME};
SELECT 'creates', TABLE_SCHEMA FROM information_schema.SCHEMA_PRIVILEGES
 WHERE PRIVILEGE_TYPE = 'CREATE' AND GRANTEE = {_ME};
"""  # noqa: S608


class MariadbCopies:
    """Backups of the databases `mariadb` and `mysql`."""

    renames = False

    def __init__(self, kind: str = "mariadb") -> None:
        self.kind = kind

    @property
    def programs(self) -> Mapping[str, str]:
        """The client and the dumper, by the names that this kind gives them."""
        package = f"`apt-get install {self.kind}-client`"
        return dict.fromkeys((self._client, self._dumper), package)

    @property
    def _client(self) -> str:
        return self.kind

    @property
    def _dumper(self) -> str:
        return "mysqldump" if self.kind == "mysql" else "mariadb-dump"

    def login(self, access: Access, password: Secret) -> Secret:
        """A file of options, read first. The server's certificate is not checked, as the app
        itself does not."""
        escaped = password.reveal().replace("\\", "\\\\").replace('"', '\\"')
        return Secret(
            f"[client]\nhost={access.host}\nport={access.port}\nuser={access.user}\n"
            f'password="{escaped}"\nloose-skip-ssl-verify-server-cert\n'
        )

    def server_script(self, access: Access) -> str:
        """Sizes are those of data and indexes. Only MariaDB keeps comments on databases."""
        room = (
            ""
            if access.host
            else f"""\
data=$({fed("SELECT @@datadir;", self._sql(access))}) || exit
{room_script('"$data"')}"""
        )
        comment = "SCHEMA_COMMENT" if self.kind == "mariadb" else "''"
        sql = f"""\
SELECT 'version', version();
SELECT 'database', SCHEMA_NAME, coalesce(size, 0), {comment} FROM information_schema.SCHEMATA
  LEFT JOIN (SELECT TABLE_SCHEMA, sum(DATA_LENGTH + INDEX_LENGTH) AS size
               FROM information_schema.TABLES GROUP BY TABLE_SCHEMA) t
         ON TABLE_SCHEMA = SCHEMA_NAME
 WHERE SCHEMA_NAME NOT IN ({_SYSTEM});
"""  # noqa: S608
        return f"""\
printf 'tool\\t%s\\n' "$({self._dumper} --version)"
{packer_script()}{fed(sql, self._sql(access))} || exit
{self._rights(access) if access.host else ""}{room}"""

    def _rights(self, access: Access) -> str:
        """What the user may make. A right that comes with a role cannot be seen: whoever has
        one, or a server that knows none to ask for, counts as free to."""
        roles = "SELECT 'creates', '%' FROM information_schema.APPLICABLE_ROLES LIMIT 1;"
        return f"""\
printf 'asked\\trights\\n'
{fed(_RIGHTS, self._sql(access))} || exit
{{ {fed(roles, self._sql(access))}; }} 2>/dev/null || printf 'creates\\t%%\\n'
"""

    def read_server(self, output: str) -> Server:
        """The answer of `server_script`. A dumper of any version reads every server."""
        found = rows(output)
        named = {row[0]: row[1] for row in found if len(row) > 1}
        held = [
            Held(row[1], int(float(row[2])), mark=read_mark(row[3]))
            for row in found
            if row[0] == "database"
        ]
        major = int(named["version"].partition(".")[0])
        return Server(
            version=major,
            tool=major,
            databases={one.name: one for one in held},
            free=int(named["free"]) if "free" in named else None,
            packer=named.get("packer", "gzip"),
            creates=tuple(row[1] for row in found if row[0] == "creates")
            if "asked" in named
            else ("%",),
        )

    def right_to_create(self, user: str, name: str) -> str:
        """For what is named like it only."""
        return f"GRANT ALL ON `{pattern(name)}%`.* TO {user}@<its host>"

    def inside_script(self, access: Access, database: str, layout: Layout) -> str:
        """Tables that are not there are an empty answer. Tables of the engines CONNECT,
        FEDERATED and SPIDER are kept elsewhere."""
        shown = f"""\
SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(database)}
   AND TABLE_NAME IN ({literal(layout.versions)}, {literal(layout.applications)});
"""  # noqa: S608
        versions, applications = identifier(layout.versions), identifier(layout.applications)
        queries = {
            layout.versions: f"SELECT 'version', `value` FROM {versions} LIMIT 1;",  # noqa: S608
            layout.applications: "SELECT 'application', `name`, replace(replace(replace("  # noqa: S608
            "coalesce(`options`, ''), '\\n', ' '), '\\r', ' '), '\\t', ' ')"
            f" FROM {applications};",
        }
        asked = "".join(
            f"if printf '%s\\n' \"$there\" | grep -qxF -e {quote(table)}; then\n"
            f"    {fed(sql, self._sql(access, database))} || exit\nfi\n"
            for table, sql in queries.items()
        )
        foreign = f"""\
SELECT 'foreign', TABLE_NAME FROM information_schema.TABLES
 WHERE TABLE_SCHEMA = {literal(database)} AND ENGINE IN ('CONNECT', 'FEDERATED', 'SPIDER');
"""  # noqa: S608
        return f"""\
there=$({fed(shown, self._sql(access))}) || exit
{asked}{fed(foreign, self._sql(access))}
"""

    def ending(self, server: Server) -> str:
        """SQL, packed by what the host has."""
        return f"sql.{packed_ending(server.packer)}"

    def dump_script(self, access: Access, database: str, file: str, server: Server) -> str:
        """A pipe tells only the packer's end: the dumper's failure is noted beside the file."""
        failed = quote(f"{file}.failed")
        gtid = " --set-gtid-purged=OFF" if self.kind == "mysql" else ""
        command = (
            f"rm -f {failed}\n"
            f"{{ {self._tool(access, self._dumper)} {_OPTIONS}{gtid} -- {quote(database)}"
            f" || : > {failed}; }} | {pack(server.packer)} > {quote(file)} && [ ! -e {failed} ]"
        )
        return watched(command, file)

    def check_script(self, file: str) -> str:
        """The last line of a whole dump says so; a row can not look like it."""
        lines = f"grep -a -e '^CREATE TABLE ' -e '^-- Dump completed' -e '^-- {_BROKEN}$'"
        return f"""\
found=$({{ {unpack(file)} || echo '-- {_BROKEN}'; }} | LC_ALL=C {lines} | cut -c 1-30)
case $found in
    *'-- {_BROKEN}'*) echo 'the file cannot be unpacked' >&2; exit 1 ;;
esac
printf '%s\\n' "$found" | tail -n 1 | grep -q '^-- Dump completed' ||
    {{ echo 'the dump ends before its end' >&2; exit 1; }}
printf 'tables %s\\n' "$(printf '%s\\n' "$found" | grep -c '^CREATE TABLE ')"
"""

    def restore_script(self, access: Access, restore: Restore) -> str:
        """Character set and rights are taken over from the present database."""
        new, like = identifier(restore.new), literal(restore.like)
        made = f"""\
SELECT concat('CREATE DATABASE ', {literal(new)}, ' CHARACTER SET ', DEFAULT_CHARACTER_SET_NAME,
              ' COLLATE ', DEFAULT_COLLATION_NAME, ';')
  FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {like};
"""  # noqa: S608
        plain = quote(f"CREATE DATABASE {new} CHARACTER SET utf8mb4;")
        return f"""\
{fed(f"DROP DATABASE IF EXISTS {new};", self._sql(access))} || exit
create=$({fed(made, self._sql(access))}) || exit
[ -n "$create" ] || create={plain}
printf '%s\\n' "$create" | {self._sql(access)} || exit
{{ {unpack(restore.file)} || echo 'THE DUMP IS BROKEN;'; }} | dd bs=1M status=progress |
    {self._sql(access, restore.new)} --max-allowed-packet=1G || exit
{"" if access.host else fed(_grants_sql(restore), self._sql(access)) + " || exit"}
{self.note_script(access, restore.new, restore.mark)}"""

    def count_script(self, access: Access, database: str) -> str:
        """Rows are counted, not guessed from statistics."""
        sql = f"""\
SELECT concat('SELECT ''rows'', count(*) FROM ', '`', replace(TABLE_NAME, '`', '``'), '`;')
  FROM information_schema.TABLES
 WHERE TABLE_SCHEMA = {literal(database)} AND TABLE_TYPE = 'BASE TABLE';
"""  # noqa: S608
        return f"""\
queries=$({fed(sql, self._sql(access))}) || exit
printf '%s\\n' "$queries" | {self._sql(access, database)}
"""

    def likeness_script(self, access: Access, old: str, new: str) -> str:
        """Character set and collation; and who may do what, where the server is ours: another
        server's rights by name are not nbops' to give."""
        grants = """\
        UNION ALL
        SELECT 'grants', replace(TABLE_SCHEMA, '\\\\_', '_'), group_concat(
               concat_ws(' ', GRANTEE, PRIVILEGE_TYPE) ORDER BY GRANTEE, PRIVILEGE_TYPE)
          FROM information_schema.SCHEMA_PRIVILEGES GROUP BY TABLE_SCHEMA"""
        sql = f"""\
SET SESSION group_concat_max_len = 1000000;
SELECT concat('differs ', what), max(if(name = {literal(old)}, value, '')),
       max(if(name = {literal(new)}, value, ''))
  FROM (SELECT 'character set' AS what, SCHEMA_NAME AS name,
               concat_ws(' ', DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME) AS value
          FROM information_schema.SCHEMATA
{"" if access.host else grants}) seen
 WHERE name IN ({literal(old)}, {literal(new)})
 GROUP BY what HAVING max(if(name = {literal(old)}, value, ''))
              <> max(if(name = {literal(new)}, value, ''));
"""  # noqa: S608
        return fed(sql, self._sql(access)) + "\n"

    def swap_script(self, access: Access, swaps: Sequence[Swap], layout: Layout) -> str:
        """The app is told by its environment; its sub-applications by their options."""
        app = next(swap for swap in swaps if not swap.application)
        updates = [
            f"UPDATE {identifier(layout.applications)} SET options ="  # noqa: S608
            " json_merge_patch(coalesce(options, '{}'),"
            f" {literal(json.dumps({'database': {'database': swap.new}}))})"
            f" WHERE name = {literal(swap.application)};"
            for swap in swaps
            if swap.application
        ]
        told = fed("\n".join(updates), self._sql(access, app.new)) + " || exit" if updates else ""
        notes = "".join(self.note_script(access, swap.live, swap.note) for swap in swaps)
        return f"{told}\n{notes}"

    def back_script(self, _access: Access, _swaps: Sequence[Swap]) -> str:
        """The present database was never touched."""
        return ":\n"

    def closed_script(self, _access: Access) -> str:
        """No swap closes any."""
        return ":\n"

    def open_script(self, _access: Access, _databases: Sequence[str]) -> str:
        """There is nothing to open."""
        return ":\n"

    def note_script(self, access: Access, database: str, mark: str) -> str:
        """Its comment; MySQL keeps none."""
        if self.kind != "mariadb":
            return ":\n"
        sql = f"ALTER DATABASE {identifier(database)} COMMENT {literal(mark)};"
        return fed(sql, self._sql(access)) + "\n"

    def drop_script(self, access: Access, database: str) -> str:
        """Its rows in the table of rights go too, where that is ours."""
        lines = [f"DROP DATABASE IF EXISTS {identifier(database)};"]
        if not access.host:
            names = f"({literal(database)}, {literal(pattern(database))})"
            lines += [f"DELETE FROM mysql.db WHERE Db IN {names};", "FLUSH PRIVILEGES;"]  # noqa: S608
        return fed("\n".join(lines), self._sql(access)) + "\n"

    def _tool(self, access: Access, program: str) -> str:
        if access.host:
            return f"{program} --defaults-extra-file={quote(access.login)}"
        return f"{program} --no-defaults --protocol=socket --user=root"

    def _sql(self, access: Access, database: str = "") -> str:
        chosen = f" --database={quote(database)}" if database else ""
        return (
            f"{self._tool(access, self._client)} --batch --raw --skip-column-names"
            f" --default-character-set=utf8mb4{chosen}"
        )


_BROKEN = "nbops could not unpack the rest"


def _grants_sql(restore: Restore) -> str:
    """Every right on the present database, given for the new one as well."""
    there = f"({literal(restore.like)}, {literal(pattern(restore.like))})"
    new = literal(pattern(restore.new))
    return f"""\
USE mysql;
CREATE TEMPORARY TABLE nbops_rights AS SELECT * FROM mysql.db WHERE Db IN {there};
UPDATE nbops_rights SET Db = {new};
REPLACE INTO mysql.db SELECT * FROM nbops_rights;
FLUSH PRIVILEGES;
"""  # noqa: S608
