"""What is found between hosts, and of the servers that all share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nbops.base.secret import Secret
from nbops.nocobase.preflight_model import DatabaseNeed, Look, Needs, RedisNeed, Target
from nbops.nocobase.preflight_shared import all_findings, offset
from tests.nocobase.looks import DIGEST, IMAGE, Row, found, good, look, node, situation, told

OTHER = "sha256:" + "b" * 64
REPOSITORY = IMAGE.rpartition(":")[0]


def shifted(seconds: float) -> list[Row]:
    return [("begin", str(100.5 + seconds)), ("end", str(101.0 + seconds))]


class TestClocks:
    @pytest.mark.parametrize("seconds", [0, 1, -3, 4.9, -4.9])
    def test_a_small_difference_is_no_finding(self, seconds: float) -> None:
        assert found(*shifted(seconds)) == []

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (10, "node2 warning its clock is 10 s ahead"),
            (-30, "node2 warning its clock is 30 s behind"),
            (90, "node2 problem its clock is 90 s ahead"),
            (3600, "node2 problem its clock is 60 min ahead"),
            (-86400, "node2 problem its clock is 24.0 h behind"),
        ],
    )
    def test_the_host_that_is_away_from_the_others_is_named(
        self, seconds: float, words: str
    ) -> None:
        (finding,) = found(*shifted(seconds))
        assert words in finding
        assert "timedatectl set-ntp true" in finding

    @pytest.mark.parametrize(
        ("seconds", "way"), [(600, "10 min behind the hosts'"), (-600, "10 min ahead of")]
    )
    def test_our_own_clock_is_told_once(self, seconds: float, way: str) -> None:
        plain = situation()
        seen = {
            host: look([*shifted(seconds), *(r for r in one.rows if r[0] not in {"begin", "end"})])
            for host, one in plain.looks.items()
        }
        (finding,) = told(all_findings(situation(seen)))
        assert "warning this computer's clock is" in finding
        assert way in finding

    def test_a_slow_answer_is_no_skew(self) -> None:
        seen = look(good(node("node2")), began=40.0, ended=170.0)
        assert all_findings(situation({"node2": seen})) == []

    def test_a_host_that_knows_no_time_is_left_out(self) -> None:
        assert offset(Look((("begin", "100.N"), ("end", "")))) is None
        assert found(("begin", "x"), ("end", "y")) == []


def test_another_time_zone_is_a_note() -> None:
    (finding,) = found(("zone", "+0800"))
    assert "node2 note its time zone is +0800, elsewhere it is +0000" in finding


class TestLock:
    HOLDER = '{"run": "20261123T1-a", "owner": "ann@desk", "command": "upgrade", "since": "x"}'

    def test_a_run_at_work_is_named(self) -> None:
        (finding,) = found(("lock", "held", "3", self.HOLDER))
        assert (
            "`upgrade` of ann@desk holds the cluster (run 20261123T1-a), and is at work" in finding
        )

    @pytest.mark.parametrize("age", ["4000", "-4000"])  # the host's clock was set back since
    def test_a_run_that_died_is_named_with_how_to_free_it(self, age: str) -> None:
        (finding,) = found(("lock", "held", age, self.HOLDER))
        assert "gave no sign for 67 min" in finding
        assert "`nbops lock break 20261123T1-a` when it is dead" in finding

    def test_a_run_that_was_interrupted_is_named_with_how_to_go_on(self) -> None:
        (finding,) = found(("lock", "parked", "90", self.HOLDER))
        assert "node2 warning `upgrade` of ann@desk holds the cluster (run 20261123T1-a)" in finding
        assert "and was interrupted 90 s ago" in finding
        assert "`nbops resume 20261123T1-a` or `nbops abort 20261123T1-a`" in finding

    @pytest.mark.parametrize(
        "row",
        [
            ("lock", "free", "3", HOLDER),
            ("lock", "held", "3", "torn"),
            ("lock", "held", "3", "{}"),
            ("lock", "held"),
        ],
    )
    def test_a_free_or_torn_record_is_no_finding(self, row: Row) -> None:
        assert found(row) == []

    def test_our_own_run_is_no_finding(self) -> None:
        assert found(("lock", "held", "3", self.HOLDER), run="20261123T1-a") == []


class TestImages:
    def test_a_node_with_another_image_is_named_with_both_digests(self) -> None:
        (finding,) = found(("image", f"sha256:2 {REPOSITORY}@{OTHER}"))
        assert f"node2 problem {IMAGE} is another image here (bbbbbbbbbbbb) than on" in finding
        assert "node1, node3 (aaaaaaaaaaaa)" in finding

    def test_a_node_that_would_pull_another_one_is_named(self) -> None:
        row = ("registry", "200", f'{{"Descriptor": {{"digest": "{OTHER}"}}}}')
        (finding,) = found(row, without=["image"])
        assert "node2 problem" in finding
        assert "another image here" in finding

    @pytest.mark.parametrize(
        "row",
        [
            ("image", f"sha256:1 elsewhere/nocobase@{OTHER}"),
            ("image", f"sha256:3 {REPOSITORY}@{OTHER} {REPOSITORY}@{DIGEST}"),
            ("image", "sha256:1"),
        ],
    )
    def test_one_image_under_two_names_is_the_same(self, row: Row) -> None:
        assert found(row) == []

    def test_an_image_loaded_by_hand_and_one_to_be_pulled_cannot_be_compared(self) -> None:
        plain = situation()
        registry = ("registry", "200", f'{{"Descriptor": {{"digest": "{DIGEST}"}}}}')
        seen = {
            host: look([*(r for r in plain.looks[host].rows if r[0] != "image"), row])
            for host, row in {
                "node1": ("image", "sha256:9"),
                "node2": registry,
                "node3": registry,
            }.items()
        }
        assert all_findings(situation(seen)) == []

    def test_a_tag_that_moved_since_the_release_is_a_note(self) -> None:
        release = {"images": {IMAGE: OTHER}, "version": "2.2.15", "number": 1}
        findings = found(release=release)
        assert [one.split()[:2] for one in findings] == [
            ["node1", "note"],
            ["node2", "note"],
            ["node3", "note"],
        ]
        assert "the deploy brings the recorded one (bbbbbbbbbbbb)" in findings[0]


class TestStorage:
    def test_folders_of_the_nodes_own_disks_are_not_shared(self) -> None:
        plain = situation()
        seen = {
            host: look(
                [
                    *(row for row in plain.looks[host].rows if row[0] != "storage"),
                    ("storage", "xfs", mark, "rw", "/"),
                ]
            )
            for host, mark in {"node1": "a.1", "node2": "a.1", "node3": "b.1"}.items()
        }
        (finding,) = told(all_findings(situation(seen)))
        assert (
            "node3 problem the shared storage /srv/s is a folder of this host's own disk" in finding
        )
        assert "(xfs)" in finding

    def test_network_folders_may_have_any_number(self) -> None:
        assert found(("storage", "fuse.sshfs", "7.9", "rw", "/srv/s")) == []


class TestReach:
    @pytest.mark.parametrize(
        ("state", "words"),
        [
            ("timeout", "nothing answers (a firewall?) → let 5432/tcp through to 10.0.0.4"),
            ("name", "the name is not known → correct the name"),
            ("-: line 1: /dev/tcp/x: No route to host", "No route to host → look at the route"),
        ],
    )
    def test_what_cannot_be_reached_is_told(self, state: str, words: str) -> None:
        (finding,) = found(("reach", "the database", "10.0.0.4", "5432", state))
        assert "node2 problem the database (10.0.0.4:5432) cannot be reached from node2" in finding
        assert words in finding

    @pytest.mark.parametrize("state", ["ok", "refused", "unknown"])
    def test_a_server_that_nbops_starts_need_not_listen_yet(self, state: str) -> None:
        assert found(("reach", "the database", "10.0.0.4", "5432", state)) == []

    def test_a_server_of_others_must_listen_and_is_told_once_for_all_nodes(self) -> None:
        target = Target("the database", "db.example", 5432)
        needs = {name: node(name, targets=(target,)) for name in ("node1", "node2", "node3")}
        rows = ("reach", "the database", "db.example", "5432", "refused")
        seen = {
            name: look([*(r for r in good(one) if r[0] != "reach"), rows])
            for name, one in needs.items()
        }
        (finding,) = told(all_findings(situation(seen, needs)))
        assert "cannot be reached from node1, node2, node3: nothing listens there" in finding


class TestRedis:
    THEIRS = RedisNeed(("cache", "lock"), "10.0.0.5", 6379, (0, 99))

    def told_of(self, *row: str, need: RedisNeed = THEIRS) -> list[str]:
        needs = {name: node(name, redis=(need,)) for name in ("node1", "node2", "node3")}
        return found(("redis", "0", *row), needs=needs)

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            (("refused",), "cannot be reached: nothing listens there"),
            (("timeout",), "let 6379/tcp through"),
            (("name",), "the name is not known"),
            (("ok", "-WRONGPASS invalid username-password pair  "), "does not take the password"),
            (("ok", "-NOAUTH Authentication required.  "), "does not take the password"),
            (("ok", "-ERR invalid password  "), "does not take the password"),
            (
                ("ok", "-ERR AUTH <password> called without any password configured  "),
                "has no password, and one is given → leave `redis.password` out",
            ),
            (
                ("ok", "-ERR DB index is out of range  redis_version:8.0.0  "),
                "does not have database 99 (for cache, lock)",
            ),
            (("ok", ""), "does not answer as Redis"),
            (
                ("ok", "redis_version:5.0.7  "),
                "problem Redis at 10.0.0.5:6379 from node2: is version 5",
            ),
            (
                ("ok", "redis_version:6.2.1  "),
                "warning Redis at 10.0.0.5:6379 from node2: is version",
            ),
            (("ok", "redis_version:7.4.2  "), "NocoBase recommends 8 or newer"),
        ],
    )
    def test_each_trouble_is_told_with_what_to_do(self, row: tuple[str, ...], words: str) -> None:
        (finding,) = self.told_of(*row)
        assert words in finding

    @pytest.mark.parametrize("version", ["8.0.2", "8", "9.1", "10.0"])
    def test_the_recommended_version_is_no_finding(self, version: str) -> None:
        assert self.told_of("ok", f"redis_version:{version}  ") == []

    @pytest.mark.parametrize(
        "row", [("refused",), ("unknown",), ("ok", "-NOAUTH x  "), ("ok", "-ERR DB index  ")]
    )
    def test_one_that_nbops_runs_is_mended_by_the_deploy(self, row: tuple[str, ...]) -> None:
        assert self.told_of(*row, need=replace(self.THEIRS, managed=True)) == []

    def test_the_same_from_every_node_is_told_once(self) -> None:
        plain = situation()
        seen = {
            host: look(
                [*(r for r in plain.looks[host].rows if r[0] != "redis"), ("redis", "0", "timeout")]
            )
            for host in ("node1", "node2", "node3")
        }
        (finding,) = told(all_findings(situation(seen)))
        assert finding.startswith("node1 problem Redis at 10.0.0.5:6379: cannot be reached")


class TestDatabase:
    THEIRS = DatabaseNeed("postgres", "db.example", 5432, "d", "ann", Secret("p"))

    def nodes(self) -> dict[str, Needs]:
        return {name: node(name, database=self.THEIRS) for name in ("node1", "node2", "node3")}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (
                'psql: error: connection to server at "x" failed: FATAL:  password authentication'
                ' failed for user "u"',
                'password authentication failed for user "u"',
            ),
            ("ERROR 1045 (28000): Access denied for user", "Access denied for user"),
        ],
    )
    def test_a_sign_in_that_is_refused_is_told(self, text: str, words: str) -> None:
        (finding,) = found(("database", "error", text), needs=self.nodes())
        assert "node2 problem the database does not let the app in from node2" in finding
        assert words in finding

    def test_one_that_nbops_runs_is_made_by_the_deploy(self) -> None:
        assert found(("database", "error", "FATAL: no such role")) == []

    def test_missing_rights_are_told(self) -> None:
        (finding,) = found(("database", "ok", "170002", "f", "1", "0", ""), needs=self.nodes())
        assert "the user `ann` may not create tables in the database" in finding

    def test_a_mariadb_that_would_keep_a_node_from_coming_up_is_told(self) -> None:
        row = ("database", "ok", "11.8.6-MariaDB", "unknown", "1", "0", "")
        (finding,) = found((*row, "ON"), needs=self.nodes())
        assert "warning MariaDB refuses a row that another connection changed" in finding
        assert found((*row, "OFF"), needs=self.nodes()) == []
        assert found((*row, "ON")) == []  # nbops sets it where it runs the server

    def test_no_client_anywhere_is_a_note_once(self) -> None:
        (finding,) = found(("database", "none"), needs=self.nodes())
        assert "note no host has a client of the database" in finding

    def test_a_tool_older_than_the_server_cannot_dump(self) -> None:
        rows = [("tool", "pg_dump", "pg_dump (PostgreSQL) 15.4"), ("database", "ok", "170002", "t")]
        (finding,) = found(*rows, on="db")
        assert "db problem pg_dump is of version 15, and the server of 17" in finding
        assert "`apt-get install postgresql-client-17`" in finding

    @pytest.mark.parametrize("tool", ["17.0", "18.1"])
    def test_a_tool_as_new_as_the_server_is_right(self, tool: str) -> None:
        rows = [
            ("tool", "pg_dump", f"pg_dump (PostgreSQL) {tool}"),
            ("database", "ok", "170002", "t"),
        ]
        assert found(*rows, on="db") == []


class TestPlugins:
    NAME = "@nocobase/plugin-lock-adapter-redis"

    def nodes(self) -> dict[str, Needs]:
        return {f"node{n}": node(f"node{n}", plugins=(self.NAME,)) for n in (1, 2, 3)}

    def test_plugins_that_are_nowhere_are_warned_of_once(self) -> None:
        (finding,) = found(needs=self.nodes())
        assert f"node1 warning {self.NAME}: to be enabled, and not seen here" in finding

    def test_a_running_app_without_them_is_told_plainly(self) -> None:
        (finding,) = found(("lacks", self.NAME), on="node1", needs=self.nodes())
        assert f"the running app does not have {self.NAME}" in finding
        assert "nodes do not synchronise" in finding

    @pytest.mark.parametrize(
        "row", [("plugin", f"/srv/s/plugins/{NAME}"), ("has", NAME)], ids=["storage", "image"]
    )
    def test_what_is_there_is_no_finding(self, row: Row) -> None:
        plain = situation(needs=self.nodes())
        seen = {host: look([*plain.looks[host].rows, row]) for host in self.nodes()}
        assert all_findings(situation(seen, self.nodes())) == []

    def test_the_package_service_or_a_package_of_ours_brings_them(self) -> None:
        assert found(needs=self.nodes(), package_service=True) == []
        assert found(needs=self.nodes(), local_plugins=(self.NAME,)) == []
