from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.secret import Secret
from nbops.nocobase.databases.copies import (
    Access,
    Application,
    Copies,
    Held,
    Inside,
    Layout,
    Restore,
    Server,
    Swap,
    beside,
    left_closed,
    marked,
    read_counts,
    read_differences,
    read_inside,
    read_mark,
    read_numbers,
)
from nbops.nocobase.databases.mariadb_copies import MariadbCopies
from nbops.nocobase.databases.postgresql_copies import PostgresqlCopies
from nbops.nocobase.databases.watched import unpack

RUN = "20261123T084733Z-1a2b3c"
SOCKET = Access(5432)
REMOTE = Access(5432, "db.lan", "ann", "/run/pass")


def test_a_database_beside_another_bears_its_name_and_the_run() -> None:
    assert beside("nocobase", "kept", RUN) == "nocobase_kept_20261123084733_1a2b3c"


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_names_are_never_too_long_and_never_the_same(one: str, other: str) -> None:
    assert len(beside(one, "kept", RUN)) <= 63
    assert (beside(one, "kept", RUN) == beside(other, "kept", RUN)) == (one == other)
    assert beside(one, "kept", RUN) != beside(one, "new", RUN)


def test_a_note_is_read_as_it_was_written() -> None:
    assert read_mark(marked(run=RUN, kept="nocobase")) == {"run": RUN, "kept": "nocobase"}


@pytest.mark.parametrize("text", ["", "our main database", "nbops", "nbops {", "nbops [1]"])
def test_notes_of_others_are_none_of_ours(text: str) -> None:
    assert read_mark(text) == {}


def test_sub_applications_are_found_with_their_databases() -> None:
    answer = (
        'version\t2.2.15\napplication\tshop\t{"autoStart": true}\napplication\tnever\t\n'
        'application\tother\t{"database": {"host": "far.lan", "database": "elsewhere"}}\n'
        'application\tinside\t{"dbConnType": "new_schema"}\nforeign\tsales\n'
    )
    assert read_inside(answer, Layout()) == Inside(
        "2.2.15",
        (
            Application("shop", "", "shop"),
            Application("never", "", "never"),
            Application("other", "far.lan", "elsewhere"),
        ),
        ("sales",),
    )


def test_sub_applications_in_schemas_are_in_the_dump_already() -> None:
    assert read_inside("application\tshop\t{}\n", Layout(schemas=True)).applications == ()


def test_tables_are_called_as_the_app_calls_them() -> None:
    assert Layout(prefix="n_").versions == "n_applicationVersion"
    assert Layout(prefix="n_", underscored=True).versions == "n_application_version"
    assert Layout(prefix="n_").applications == "n_applications"


def test_numbers_counts_and_differences_are_read() -> None:
    assert read_numbers("at 5\ntables 104\nother line here\n") == {"at": 5, "tables": 104}
    assert read_counts("rows\t5\nrows\t7\nwarning\n") == (2, 12)
    assert read_differences("differs owner\tann\tbob\nx\n") == [("owner", "ann", "bob")]


def test_a_password_stands_in_no_script() -> None:
    secret = Secret('pa:ss\\"word')
    for copies in (PostgresqlCopies(), MariadbCopies()):
        assert "word" in copies.login(REMOTE, secret).reveal()
        script = copies.server_script(REMOTE)
        assert "/run/pass" in script
        assert "word" not in script.replace("password", "").replace("PGPASS", "")


def test_postgresqls_password_file_escapes_what_has_a_meaning() -> None:
    text = PostgresqlCopies().login(REMOTE, Secret("a:b\\c")).reveal()
    assert text == "*:5432:*:*:a\\:b\\\\c\n"


def test_postgresqls_server_is_read() -> None:
    answer = (
        "tool\tpg_dump (PostgreSQL) 17.12 (Debian 17.12-0+deb13u1)\nversion\t170012\ncreates\tt\n"
        f"database\tnocobase\t7602703\tann\t{marked(run=RUN)}\nfree\t2048\n"
    )
    server = PostgresqlCopies().read_server(answer)
    assert (server.version, server.tool, server.free, server.creates) == (17, 17, 2048, ("%",))
    assert server.databases == {"nocobase": Held("nocobase", 7602703, "ann", {"run": RUN})}


def test_mariadbs_server_is_read() -> None:
    answer = "tool\tmariadb-dump\npacker\tzstd\nversion\t11.8.3-MariaDB\ndatabase\tnoco\t5.0\t\n"
    server = MariadbCopies().read_server(answer)
    assert (server.version, server.packer, server.free) == (11, "zstd", None)
    assert server.databases == {"noco": Held("noco", 5)}
    assert MariadbCopies().ending(server) == "sql.zst"


@pytest.mark.parametrize(
    ("rights", "may"),
    [
        ("", True),  # the superuser's own socket is not asked
        ("asked\trights\n", False),
        ("asked\trights\ncreates\tnoco\n", False),
        ("asked\trights\ncreates\tnoco\\_new\\_%\n", True),
        ("asked\trights\ncreates\tnoco%\n", True),
        ("asked\trights\ncreates\tnoco\\%\n", False),
        ("asked\trights\ncreates\t%\n", True),
    ],
)
def test_what_a_user_of_mariadb_may_make_is_known_before_it_is_made(rights: str, may: bool) -> None:
    answer = f"tool\tmariadb-dump\nversion\t11.8.3-MariaDB\ndatabase\tnoco\t5\t\n{rights}"
    assert MariadbCopies().read_server(answer).may_create("noco_new_20261123084733_1a2b3c") is may


def test_mysql_has_programs_of_its_own_and_keeps_no_notes() -> None:
    mysql = MariadbCopies("mysql")
    assert set(mysql.programs) == {"mysql", "mysqldump"}
    assert mysql.note_script(SOCKET, "noco", "note") == ":\n"
    assert "SCHEMA_COMMENT" not in mysql.server_script(SOCKET)


def test_what_was_packed_is_unpacked_by_the_same() -> None:
    assert unpack("/b/x.sql.zst").startswith("zstd ")
    assert unpack("/b/x.sql.gz").startswith("gzip ")


@pytest.mark.parametrize("copies", [PostgresqlCopies(), MariadbCopies()])
@pytest.mark.parametrize(
    "name", ["$(touch gone)", "`touch gone`", "'; touch gone; '", "a\ntouch gone"]
)
def test_names_are_data_whatever_they_hold(copies: Copies, name: str, tmp_path: Path) -> None:
    restore = Restore(f"/b/{name}.gz", name, name, name, name)
    swaps = [Swap(name, f"{name}_new", f"{name}_kept", name, name), Swap(name, "n", "k")]
    server = Server(17, 17, {})
    for script in (
        copies.inside_script(SOCKET, name, Layout()),
        copies.restore_script(SOCKET, restore),
        copies.likeness_script(SOCKET, name, f"{name}2"),
        copies.swap_script(SOCKET, swaps, Layout()),
        copies.note_script(SOCKET, name, name),
        copies.dump_script(SOCKET, name, str(tmp_path / "dump"), server),
        copies.drop_script(SOCKET, name),
    ):
        _run_with_idle_programs(script, tmp_path)
    assert not list(tmp_path.rglob("gone"))


def _run_with_idle_programs(script: str, folder: Path) -> None:
    """Run a script in a real shell whose database tools swallow everything and do nothing."""
    for name in (
        "runuser",
        "mariadb",
        "mariadb-dump",
        "pg_restore",
        "chgrp",
        "chmod",
        "gzip",
        "dd",
    ):
        program = folder / name
        program.write_text("#!/bin/sh\ncat >/dev/null\n")
        program.chmod(0o755)
    subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )


def test_what_a_swap_left_closed_is_found_by_its_notes() -> None:
    new, kept = beside("nocobase", "new", RUN), beside("nocobase", "kept", RUN)
    sub = beside("shop", "new", RUN)
    answer = (
        f"closed\tnocobase\t\nclosed\tshop\t\nclosed\tprivate\tclosed by its owner\n"
        f"closed\t{new}\t{marked(backup='b', new='nocobase', run=RUN)}\n"
        f"closed\t{sub}\t{marked(backup='b', new='shop', run=RUN)}\n"
    )
    assert left_closed(answer, "nocobase") == sorted(["nocobase", "shop", new, sub])
    renamed = (
        f"closed\tnocobase\t{marked(backup='b', new='nocobase', run=RUN)}\n"
        f"closed\t{kept}\t{marked(kept='nocobase', run=RUN)}\n"
    )
    assert left_closed(renamed, "nocobase") == ["nocobase", kept]


def test_a_database_that_its_owner_closed_is_left_alone() -> None:
    others = marked(new="other", run=RUN)
    assert left_closed(f"closed\tnocobase\t\nclosed\tx\t{others}\n", "nocobase") == []
    assert left_closed("", "nocobase") == []
