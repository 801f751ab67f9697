"""What is there already: keys, environments, a cluster built by hand, versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nbops.nocobase.preflight_keys import by_hand, fingerprint
from nbops.nocobase.preflight_shared import all_findings
from tests.nocobase.looks import Row, found, look, marks, situation, told

RELEASE = {"number": 3, "version": "2.2.15", "images": {"other": "sha256:9"}}
DATABASE: Row = ("database", "ok", "170002", "t", "9", "104", "2.2.15")


def app(name: str = "/app-1", cluster: str = "", state: str = "running", **env: str) -> list[Row]:
    return [("app", name, cluster, state, "nocobase/nocobase:2.2.15"), *marks(name, **env)]


def ours(**env: str) -> list[Row]:
    return app("/nocobase-demo", "demo", **env)


def everywhere(*rows: Row, **parts: Any) -> list[str]:
    plain = situation(**parts)
    seen = {
        host: look([*one.rows, *rows]) for host, one in plain.looks.items() if host.startswith("n")
    }
    return told(all_findings(situation(seen, **parts)))


class TestTakeover:
    def test_a_database_with_an_app_and_no_release_is_refused(self) -> None:
        (finding,) = found(DATABASE, on="db")
        assert "db problem the database holds a NocoBase 2.2.15 already" in finding
        assert "there is no release of `demo`" in finding
        assert "`nbops deploy --adopt`" in finding

    def test_a_node_built_by_hand_is_refused(self) -> None:
        (finding,) = found(*app())
        assert "problem a NocoBase that nbops did not deploy is there (`app-1` on node2)" in finding

    def test_with_adopt_and_the_same_keys_it_is_taken_over(self) -> None:
        findings = everywhere(*app(), DATABASE, adopt=True)
        assert [one.split()[1] for one in findings] == ["note"]
        assert "it is taken over" in findings[0]

    def test_with_adopt_and_no_node_to_compare_it_is_warned(self) -> None:
        (finding,) = found(DATABASE, on="db", adopt=True)
        assert "db warning" in finding
        assert "no node is there whose APP_KEY could be compared" in finding
        assert "make sure that `secrets.app_key` is the cluster's own key" in finding

    @pytest.mark.parametrize("adopt", [True, False])
    def test_another_key_is_refused_with_and_without_adopt(self, adopt: bool) -> None:
        findings = found(*app(APP_KEY="theirs"), adopt=adopt)
        problem = next(one for one in findings if "another APP_KEY" in one)
        assert "node2 problem `app-1` has another APP_KEY than `secrets.app_key` gives" in problem
        assert "all users would be signed out" in problem
        assert "`ssh node2 docker exec app-1 printenv APP_KEY > secrets/app_key`" in problem
        assert "theirs" not in "".join(findings)

    def test_another_password_of_the_database_is_refused(self) -> None:
        findings = found(*app(DB_PASSWORD="theirs"), adopt=True)
        problem = next(one for one in findings if "another password" in one)
        assert "node2 problem `app-1` signs in to the database with another password" in problem
        assert "`ssh node2 docker exec app-1 printenv DB_PASSWORD > secrets/db_password`" in problem
        assert "theirs" not in "".join(findings)

    def test_another_aes_key_is_refused(self) -> None:
        findings = found(*app(APP_AES_SECRET_KEY="cd" * 32), adopt=True)
        assert any("what is stored encrypted could not be read any more" in one for one in findings)

    def test_a_key_file_in_the_storage_is_compared(self) -> None:
        other = [row for row in marks("storage", APP_AES_SECRET_KEY="cd" * 32) if "AES" in row[2]]
        same = [row for row in marks("storage") if "AES" in row[2]]
        (finding,) = everywhere(*other)
        assert "node1 problem /srv/s holds an aes_key.dat with another key" in finding
        assert everywhere(*same) == []

    def test_a_key_in_capitals_is_the_same_key(self) -> None:
        findings = found(*app(APP_AES_SECRET_KEY="AB" * 32), adopt=True)
        assert not any("another" in one for one in findings)

    def test_another_version_is_taken_over_first_and_upgraded_then(self) -> None:
        row = (*DATABASE[:-1], "2.2.14")
        findings = found(*app(), row, adopt=True)
        assert any(
            "take it over with `version: 2.2.14`, then `nbops upgrade`" in f for f in findings
        )

    def test_a_deploy_that_was_cut_off_needs_no_adoption(self) -> None:
        assert found(("configured", "/opt/nocobase"), DATABASE) == []
        findings = found(*ours(), DATABASE)
        assert [one.split()[1] for one in findings] == ["note"]

    def test_with_a_release_nothing_is_taken_over(self) -> None:
        assert found(DATABASE, on="db", release=RELEASE) == []

    def test_tables_that_are_not_the_apps_are_warned_of(self) -> None:
        row = ("database", "ok", "170002", "t", "9", "12", "")
        (finding,) = found(row, on="db")
        assert "db warning the database holds 12 tables, and no NocoBase" in finding

    def test_an_empty_database_is_no_finding(self) -> None:
        assert found(("database", "ok", "170002", "t", "9", "0", ""), on="db") == []

    def test_an_app_with_another_database_is_a_stranger(self) -> None:
        rows = app("/shop", DB_PASSWORD="other", DB_DATABASE="shop", APP_KEY="x")
        (finding,) = found(*rows)
        assert (
            "node2 note another NocoBase with another database is on this host: `shop`" in finding
        )

    def test_another_cluster_of_nbops_is_a_stranger(self) -> None:
        (finding,) = found(*app("/nocobase-x", "x", APP_KEY="x"))
        assert "note another NocoBase of the cluster `x` is on this host" in finding

    def test_what_holds_the_port_by_hand_is_told_once(self) -> None:
        rows = [*app(), ("port", "13000", "docker-proxy", "9", "docker.service", "app-1 ")]
        (finding,) = found(*rows)
        assert "nbops did not deploy" in finding

    def test_what_adopt_stops_is_what_was_compared(self) -> None:
        plain = situation()
        rows = [*plain.looks["node1"].rows, *app(), *app("/shop", DB_PASSWORD="o", APP_KEY="x")]
        names = [one.shown for one in by_hand(situation({"node1": look(rows)}))]
        assert names == ["app-1"]


class TestEnvironment:
    def test_equal_environments_are_proven_by_a_fingerprint(self) -> None:
        (finding,) = everywhere(*ours(), release=RELEASE)
        assert "node1 note environment " in finding
        assert "(4 variables) is the same on node1, node2, node3, and as the inventory" in finding

    def test_what_a_deploy_will_change_is_named(self) -> None:
        (finding,) = everywhere(*ours(DB_PASSWORD="old"), release=RELEASE)
        assert "and a deploy changes DB_PASSWORD" in finding
        assert "old" not in finding.replace("password", "")

    def test_a_node_that_differs_is_named_with_its_variables(self) -> None:
        plain = situation()
        seen = {
            host: look([*plain.looks[host].rows, *ours(**env)])
            for host, env in {"node1": {}, "node2": {"DB_PASSWORD": "x"}, "node3": {}}.items()
        }
        (finding,) = told(all_findings(situation(seen, release=RELEASE)))
        assert "node2 warning the app here runs with another environment than on node1" in finding
        assert "DB_PASSWORD" in finding

    def test_another_key_on_a_node_of_ours_is_a_problem(self) -> None:
        findings = found(*ours(APP_KEY="other"), release=RELEASE)
        assert any("problem `nocobase-demo` has another APP_KEY" in one for one in findings)

    def test_a_fingerprint_is_of_all_variables(self) -> None:
        assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
        assert fingerprint({"a": "1"}) != fingerprint({"a": "2"}) != fingerprint({"b": "1"})


class TestVersions:
    @pytest.mark.parametrize("version", ["2.2.16", "2.3.0", "3.0.0", "2.10.1"])
    def test_an_older_target_than_the_database_is_refused(self, version: str) -> None:
        findings = found((*DATABASE[:-1], version), on="db", release=RELEASE)
        assert any(
            f"problem the inventory says `version: 2.2.15`, and the database is at {version}" in one
            for one in findings
        )
        assert any("`nbops rollback`" in one for one in findings)

    def test_an_older_target_than_the_release_is_refused(self) -> None:
        (finding,) = found(release=RELEASE | {"version": "2.2.16"})
        assert "the present release is 2.2.16: NocoBase cannot go back" in finding

    def test_what_belongs_to_no_host_is_told_of_one_that_was_looked_at(self) -> None:
        plain = situation(release=RELEASE | {"version": "2.2.16"})
        seen = {host: one for host, one in plain.looks.items() if host != "node1"}
        (finding,) = told(all_findings(replace(plain, looks=seen)))
        assert finding.startswith("node2 problem the inventory says `version: 2.2.15`")

    def test_a_newer_target_is_a_note_with_the_command(self) -> None:
        (finding,) = found(release=RELEASE | {"version": "2.2.14"})
        assert "note the cluster runs 2.2.14, and the inventory says 2.2.15" in finding
        assert "`nbops upgrade --version 2.2.15`" in finding

    def test_a_full_image_is_of_the_same_version(self) -> None:
        assert found(release=RELEASE | {"version": "2.2.15-full"}) == []

    def test_an_app_of_another_version_than_its_release_is_warned_of(self) -> None:
        row = ("serves", '{"data":{"version":"2.2.13"}}')
        (finding,) = found(row, release=RELEASE)
        assert "node2 warning the app says that it is 2.2.13" in finding

    @pytest.mark.parametrize("text", ["", "Not Found", "{}", '{"data": null}', "[1]"])
    def test_what_tells_no_version_is_no_finding(self, text: str) -> None:
        assert found(("serves", text), release=RELEASE) == []
