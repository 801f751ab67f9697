"""What a kind of database must be able to do for backups: be looked at, dumped, checked,
restored under another name, and put in the place of the present one. Pure: scripts for the
host on which the database's own tools run, and readers of what they print."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nbops.base.secret import Secret

MARK = "nbops "
_LONGEST = 63


@dataclass(frozen=True, slots=True)
class Access:
    """How the tools reach the server: without a `host` by its socket, as its superuser; else
    as `user`, with the password in the file `login` (0600) on the host of the tools."""

    port: int
    host: str = ""
    user: str = ""
    login: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the app keeps its own tables (DB_SCHEMA, DB_TABLE_PREFIX, DB_UNDERSCORED), and
    whether sub-applications have schemas instead of databases (USE_DB_SCHEMA_IN_SUBAPP)."""

    schema: str = ""
    prefix: str = ""
    underscored: bool = False
    schemas: bool = False

    @property
    def versions(self) -> str:
        """The table with the version that last upgraded the database."""
        return self.prefix + ("application_version" if self.underscored else "applicationVersion")

    @property
    def applications(self) -> str:
        """The table of the sub-applications; there only with the plugin for them."""
        return f"{self.prefix}applications"


@dataclass(frozen=True, slots=True)
class Held:
    """A database on the server. `mark` is what nbops noted on it; empty when it did not."""

    name: str
    size: int
    owner: str = ""
    mark: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """A server as it was seen. `free` is the room in MiB where its data is; None when that
    cannot be seen from the host of the tools. `packer` packs what the tools do not. `creates`
    are patterns of LIKE for the databases that the user may make."""

    version: int
    tool: int
    databases: Mapping[str, Held]
    free: int | None = None
    packer: str = "gzip"
    creates: Sequence[str] = ("%",)

    def may_create(self, name: str) -> bool:
        """Whether the user may make a database of this name."""
        return any(_like(one).fullmatch(name) for one in self.creates)


def _like(pattern: str) -> re.Pattern[str]:
    """A pattern of LIKE as a regular expression."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    jokers = {"%": ".*", "_": "."}
    return re.compile("".join(jokers.get(one) or re.escape(one[-1]) for one in parts), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Application:
    """A sub-application: its name, the host (empty: the same server) and its database."""

    name: str
    host: str
    database: str


@dataclass(frozen=True)
class Inside:
    """What stands in a database: the app's version, its sub-applications with databases of
    their own, the tables that are kept on other servers, and the extensions that who asked
    could not make in another database."""

    version: str = ""
    applications: Sequence[Application] = ()
    foreign: Sequence[str] = ()
    beyond: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Restore:
    """A dump to be restored: from `file` into the database `new`, which is to be like `like`
    (the present one, when there is one) and to belong to `owner`. `mark` is noted on it when
    all is there."""

    file: str
    new: str
    like: str
    owner: str
    mark: str
    jobs: int = 1


class Copies(Protocol):
    """A kind of database, as far as backups are concerned."""

    @property
    def kind(self) -> str:
        """Its name in the inventory."""

    @property
    def programs(self) -> Mapping[str, str]:
        """The programs that the host of the tools must have, and how to get them."""

    @property
    def renames(self) -> bool:
        """Whether a database can change its name; else the app is told the new one."""

    def login(self, access: Access, password: Secret) -> Secret:
        """The content of the file that keeps the password for the tools."""

    def server_script(self, access: Access) -> str:
        """Looks at the server and its databases."""

    def read_server(self, output: str) -> Server:
        """The answer of `server_script`."""

    def right_to_create(self, user: str, name: str) -> str:
        """What the server's superuser says so that the user may make databases beside `name`."""

    def inside_script(self, access: Access, database: str, layout: Layout) -> str:
        """Looks into a database of the app."""

    def ending(self, server: Server) -> str:
        """How the name of a dump's file ends."""

    def dump_script(self, access: Access, database: str, file: str, server: Server) -> str:
        """Writes a dump; prints `at BYTES` while it grows."""

    def check_script(self, file: str) -> str:
        """Reads a dump from end to end; prints `tables NUMBER`. Fails when it is not whole."""

    def restore_script(self, access: Access, restore: Restore) -> str:
        """Makes the new database, again when it is there half done."""

    def count_script(self, access: Access, database: str) -> str:
        """Prints `rows<TAB>NUMBER` for each table of a restored database."""

    def likeness_script(self, access: Access, old: str, new: str) -> str:
        """Prints `differs WHAT<TAB>OLD<TAB>NEW` for each thing in which two databases differ
        that should not."""

    def swap_script(self, access: Access, swaps: Sequence[Swap], layout: Layout) -> str:
        """Puts new databases in the place of present ones, all or none. Does nothing where it
        is done already."""

    def back_script(self, access: Access, swaps: Sequence[Swap]) -> str:
        """Undoes `swap_script`. Does nothing where there is nothing to undo."""

    def closed_script(self, access: Access) -> str:
        """Prints `closed<TAB>DATABASE<TAB>NOTE` for each database that lets nobody in."""

    def open_script(self, access: Access, databases: Sequence[str]) -> str:
        """Lets connections into these databases again."""

    def note_script(self, access: Access, database: str, mark: str) -> str:
        """Notes something on a database, for who looks at the server later."""

    def drop_script(self, access: Access, database: str) -> str:
        """Removes a database."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Three names: the `live` one, under which `new` is to be found; the present one becomes
    `kept`. `application` is the sub-application that it belongs to; empty for the app. `note` is
    noted on the one that is replaced."""

    live: str
    new: str
    kept: str
    application: str = ""
    note: str = ""


def marked(**values: str) -> str:
    """A note for a database: `read_mark` gives it back."""
    return MARK + json.dumps(values, sort_keys=True)


def read_mark(text: str) -> Mapping[str, Any]:
    """What nbops noted on a database; nothing when the note is another's."""
    if not text.startswith(MARK):
        return {}
    try:
        mark = json.loads(text[len(MARK) :])
    except ValueError:
        return {}
    return mark if isinstance(mark, dict) else {}


def beside(database: str, what: str, run: str) -> str:
    """The name of a database beside another one: `noco_kept_20261123084733_1a2b3c`. Always the
    same for the same run, and never longer than a server takes."""
    moment, _, rest = run.partition("-")
    stamp = "".join(sign for sign in moment if sign.isdigit()) + (f"_{rest}" if rest else "")
    end = f"_{what}_{stamp}"
    if len(database) + len(end) <= _LONGEST:
        return database + end
    short = hashlib.sha256(database.encode()).hexdigest()[:8]
    return f"{database[: _LONGEST - len(end) - 9]}_{short}{end}"


def is_restored(database: str, name: str) -> bool:
    """Whether a database is one that a restore made beside another one of this name."""
    found = re.fullmatch(r".*_new_(\d+)(?:_([^_]+))?", database)
    return found is not None and database == beside(
        name, "new", "-".join(filter(None, found.groups()))
    )


def rows(output: str) -> list[list[str]]:
    """Lines with tabs, as the tools print them."""
    return [line.split("\t") for line in output.splitlines()]


def read_inside(output: str, layout: Layout) -> Inside:
    """The answer of `inside_script`, of every kind."""
    found = rows(output)
    applications = [
        _application(row[1], row[2])
        for row in found
        if row[0] == "application" and not layout.schemas
    ]
    return Inside(
        version=next((row[1] for row in found if row[0] == "version"), ""),
        applications=tuple(one for one in applications if one is not None),
        foreign=tuple(row[1] for row in found if row[0] == "foreign"),
        beyond=tuple(row[1] for row in found if row[0] == "beyond"),
    )


def _application(name: str, text: str) -> Application | None:
    """None for one that lives in a schema of the app's own database.

    As the app does it (2.2.15, `app-options-factory.js`): the database bears the
    application's name unless its options name another.
    """
    try:
        options = json.loads(text or "{}") or {}
    except ValueError:
        options = {}
    if not isinstance(options, dict) or options.get("dbConnType") == "new_schema":
        return None
    own = options.get("database")
    own = own if isinstance(own, dict) else {}
    return Application(name, str(own.get("host") or ""), str(own.get("database") or name))


def left_closed(output: str, database: str) -> list[str]:
    """From the answer of `closed_script` those that a swap left closed which was cut short and
    put another database in the place of `database`: all that bear the notes of that run, or are
    named in them. What somebody else closed is not among them."""
    notes = {row[1]: read_mark(row[2]) for row in rows(output) if row[0] == "closed"}
    runs = {
        note["run"]
        for note in notes.values()
        if "run" in note and database in {note.get("new"), note.get("kept")}
    }
    named: set[str] = set()
    for name, note in notes.items():
        if note.get("run") in runs:
            named |= {name, str(note.get("new")), str(note.get("kept"))}
    return sorted(named & notes.keys())


def read_numbers(output: str) -> dict[str, int]:
    """The last number that was printed after each word, as in `tables 104`."""
    words = (line.split() for line in output.splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) == 2 and word[1].isdigit()}


def read_counts(output: str) -> tuple[int, int]:
    """The answer of `count_script`: tables, and rows in all of them."""
    counts = [int(row[1]) for row in rows(output) if row[0] == "rows"]
    return len(counts), sum(counts)


def read_differences(output: str) -> list[tuple[str, str, str]]:
    """The answer of `likeness_script`."""
    found = (row for row in rows(output) if row[0].startswith("differs ") and len(row) == 3)
    return [(row[0].removeprefix("differs "), row[1], row[2]) for row in found]
