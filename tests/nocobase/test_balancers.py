"""What the kinds of balancers share: plans, pages, certificates, questions, requests in flight."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.nocobase.balancers.api import BalancerPlan, BalancerState, read_stamp, stamp
from nbops.nocobase.balancers.applying import state_of
from nbops.nocobase.balancers.ask import Door, Mode, doors, look_script, read_look
from nbops.nocobase.balancers.external import environment, words
from nbops.nocobase.balancers.haproxy_conf import config
from nbops.nocobase.balancers.inflight import InFlight
from nbops.nocobase.balancers.inflight import look_script as flight_script
from nbops.nocobase.balancers.inflight import read_look as read_flight
from nbops.nocobase.balancers.nginx_conf import site
from nbops.nocobase.balancers.pages import LARGEST, pages, read_page
from nbops.nocobase.balancers.plan import short_plan
from nbops.nocobase.balancers.ready import judge
from nbops.nocobase.balancers.tls import expiry_warnings, read_tls
from nbops.nocobase.cluster import Endpoint, cluster_of
from nbops.nocobase.health import Health, HealthReport
from nbops.nocobase.steps.balancer import leaving
from tests.nocobase.conftest import Variables

NODES = (
    Endpoint("node1", 1, "198.18.0.11", 13000),
    Endpoint("node1", 2, "198.18.0.11", 13001),
    Endpoint("node2", 1, "fd00::2", 13000),
)
PLAN = BalancerPlan("demo", NODES)

hosts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
clusters = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(cluster=clusters, names=st.lists(hosts, max_size=4, unique=True))
def test_no_name_breaks_out_of_a_configuration(cluster: str, names: Sequence[str]) -> None:
    nodes = tuple(Endpoint(name, 1, "198.18.0.9", 13000) for name in names)
    plan = BalancerPlan(cluster, nodes, frozenset(names[:1]))
    for text, _ in (site(plan), config(plan)):
        told = read_stamp(text.splitlines()[0])
        assert told["drained"] == sorted(names[:1])
        assert text.splitlines()[1] == (
            "# Written by nbops; what is changed here by hand is put back by the next deploy."
        )
    body = site(plan)[0].partition("\n")[2]
    assert body.count("{") == body.count("}")


@given(hosts)
def test_a_stamp_is_one_line_and_read_back(name: str) -> None:
    line, digest = stamp(replace(PLAN, drained=frozenset({name})), "text")
    assert len(line.splitlines()) == 1
    assert read_stamp(line)["digest"] == digest
    assert read_stamp(line)["drained"] == [name]


@pytest.mark.parametrize("line", ["", "# Written by hand", "# nbops: {broken", "# nbops: []"])
def test_what_is_no_stamp_says_nothing(line: str) -> None:
    assert read_stamp(line) == {}


def test_a_state_is_read_from_what_the_host_says() -> None:
    line, digest = stamp(replace(PLAN, drained=frozenset({"node2"})), "text")
    state = state_of(f"running yes\nmaintenance yes\ndigest {digest}\nstamp {line}\n")
    assert (state.running, state.maintenance, state.digest) == (True, True, digest)
    assert state.nodes == ("198.18.0.11:13000", "198.18.0.11:13001", "[fd00::2]:13000")
    assert state.drained == ("node2",)
    assert state_of("") == BalancerState()


@pytest.mark.parametrize("address", ["a;b", "a b", "a\nserver x", "", "a{", "$x", "[::1"])
def test_an_address_that_is_none_goes_into_no_configuration(
    variables: Variables, address: str
) -> None:
    cluster = cluster_of(variables())
    bad = replace(cluster.members["node1"], address=address)
    with pytest.raises(ActionFailed, match="node1"):
        short_plan(replace(cluster, members={**cluster.members, "node1": bad}))


def test_all_apps_of_a_drained_host_get_nothing() -> None:
    assert [node.place for node in replace(PLAN, drained=frozenset({"node1"})).live] == [
        "[fd00::2]:13000"
    ]


def test_nodes_that_were_there_and_are_not_wanted_are_waited_for() -> None:
    line, _ = stamp(PLAN, "text")
    state = state_of(f"stamp {line}\n")
    now = BalancerPlan("demo", NODES[:1])
    assert leaving(state, now) == ("198.18.0.11:13001", "[fd00::2]:13000")
    assert leaving(state, PLAN) == ()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://app.example.com:8443/x", "app.example.com"),
        ("app.example.com", "app.example.com"),
        ("http://198.18.0.3", ""),
        ("http://[fd00::3]:80", ""),
        ("", ""),
        ("https://bad;name{}", ""),
    ],
)
def test_only_a_plain_public_name_goes_into_a_configuration(address: str, name: str) -> None:
    assert BalancerPlan("demo", (), address=address).name == name


def test_sizes_are_those_of_nginx() -> None:
    sizes = {"0": 0, "100": 100, "2k": 2048, "1M": 1 << 20, "3g": 3 << 30}
    assert {size: BalancerPlan("d", (), body_size=size).body_bytes for size in sizes} == sizes


def test_pages_speak_both_languages_and_the_apis_shape() -> None:
    found = pages()
    assert sorted(found) == ["en.html", "en.json", "zh.html", "zh.json"]
    assert 'lang="zh"' in found["zh.html"]
    assert "@" not in found["en.html"].replace("@keyframes", "").replace("@media", "")
    for name in ("en.json", "zh.json"):
        answer = json.loads(found[name])
        assert answer["maintaining"] is True
        assert answer["errors"][0]["message"] == answer["error"]["message"]


def test_pages_need_nothing_from_elsewhere() -> None:
    for name, text in pages().items():
        assert not any(word in text for word in ("http:", "https:", "src=", "href=")), name


def test_a_page_of_the_users_own_is_in_every_language(tmp_path: Path) -> None:
    (tmp_path / "p.html").write_text("ours: äß中")
    found = pages(read_page(tmp_path, "p.html"))
    assert found["en.html"] == found["zh.html"] == "ours: äß中"
    assert json.loads(found["zh.json"])["maintaining"]


def test_a_page_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("x" * (LARGEST + 1))
    (tmp_path / "latin").write_bytes(b"\xe4")
    for name in ("large", "latin", "none"):
        with pytest.raises(ActionFailed, match=name):
            read_page(tmp_path, name)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name, kind in (("a", "rsa:2048"), ("b", "ec")):
        curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else []
        line = ["openssl", "req", "-x509", "-newkey", kind, *curve, "-nodes", "-days", "100"]
        more = ["-subj", "/CN=x", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*line, *more], cwd=folder, check=True, capture_output=True)
        (folder / f"{name}.key").chmod(0o600)
    return folder


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_certificate_with_its_key_is_taken(pair: Path, name: str) -> None:
    tls = read_tls(pair, {"certificate": f"{name}.pem", "key": f"{name}.key"})
    assert "PRIVATE KEY" in tls.key.reveal()
    assert "PRIVATE KEY" not in repr(tls)
    assert expiry_warnings(tls.certificate) == ()


def test_its_end_is_told_three_weeks_before_and_after(pair: Path) -> None:
    certificate = (pair / "a.pem").read_text()
    now = datetime.now(UTC)
    assert "in 9 days" in expiry_warnings(certificate, now + timedelta(days=90))[0]
    assert "browsers refuse it" in expiry_warnings(certificate, now + timedelta(days=101))[0]


def test_a_pair_that_cannot_be_used_is_told(pair: Path, tmp_path: Path) -> None:
    locked = ["openssl", "pkey", "-in", "a.key", "-aes128", "-passout", "pass:x", "-out"]
    subprocess.run([*locked, str(tmp_path / "locked")], cwd=pair, check=True, capture_output=True)
    (tmp_path / "open").write_text((pair / "a.key").read_text())
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "locked").chmod(0o600)
    for certificate, key, why in (
        ("a.pem", "b.key", "not that of the certificate"),
        ("a.pem", str(tmp_path / "locked"), "passphrase"),
        ("a.pem", str(tmp_path / "open"), "everyone on this computer"),
        ("a.key", "a.key", "no certificate in PEM"),
        ("a.pem", "a.pem", "no private key in PEM"),
        ("none.pem", "a.key", "cannot be read"),
    ):
        if Path(pair / key).exists() and key == "a.pem":
            (pair / key).chmod(0o600)
        with pytest.raises(ActionFailed, match=why):
            read_tls(pair, {"certificate": certificate, "key": key})


def test_answers_are_read_by_their_doors() -> None:
    output = (
        "1 HTTP/1.1 200 OK\n1 X: y\n1 \n"
        "0 HTTP/1.1 100 Continue\n0 \n0 HTTP/1.1 503 Gone\n0 Retry-After: 30\n"
        "0 X-NBOps-Maintenance: on\n0 \n9 HTTP/1.1 200 OK\nnoise\n"
    )
    first, second, third = read_look(output, 3)
    assert first.fits(Mode.MAINTENANCE) and first.marked and not first.fits(Mode.TRAFFIC)
    assert second.fits(Mode.TRAFFIC) and not second.marked
    assert not third.fits(Mode.TRAFFIC) and str(third) == "no answer"


def test_a_503_without_retry_after_is_not_the_page() -> None:
    (said,) = read_look("0 HTTP/1.1 503 x\n", 1)
    assert not said.fits(Mode.MAINTENANCE)
    assert str(said) == "HTTP 503, no Retry-After"


def test_every_balancer_and_the_public_address_are_asked(variables: Variables) -> None:
    cluster = cluster_of(variables(balancer={"kind": "nginx", "address": "https://a.example/"}))
    assert doors(cluster) == (
        Door("lb", "http://a.example", "198.18.0.3:80"),
        Door("the address https://a.example/", "https://a.example"),
    )
    secure = variables(balancer={"kind": "nginx", "port": 8443, "tls": {"key": "k"}})
    assert doors(cluster_of(secure)) == (Door("lb", "https://198.18.0.3:8443", "198.18.0.3:8443"),)


def test_the_question_quotes_what_it_is_given() -> None:
    script = look_script([Door("x", "http://a'b;c", "[::1]:80")])
    assert quote("http://a'b;c/api/__health_check") in script


def test_requests_in_flight_are_told_from_websockets() -> None:
    output = (
        "0 0 198.18.0.3:1 198.18.0.11:13000 timer:(keepalive,119min,0)\n"
        "0 0 198.18.0.3:2 198.18.0.11:13000\n\n"
        "0 9 198.18.0.3:3 198.18.0.11:13000 timer:(on,200ms,0)\n"
    )
    assert read_flight(output) == InFlight(requests=2, sockets=1)
    assert "'( dst 198.18.0.11:13000 or dst [fd00::2]:13000 )'" in flight_script(
        ["198.18.0.11:13000", "[fd00::2]:13000"]
    )


def test_visitors_are_let_in_to_one_version_that_answers() -> None:
    up, down = HealthReport(Health.UP), HealthReport(Health.SILENT)
    assert judge({"n1": up, "n2": down}, {"n1": "2.2.15"}) == ""
    assert "n2: nothing listens" in judge({"n1": down, "n2": down}, {})
    assert judge({}, {}) == "no node serves (there is none)"
    assert "n2 2.2.16" in judge({"n1": up, "n2": up}, {"n1": "2.2.15", "n2": "2.2.16"})


def test_a_users_command_learns_the_nodes() -> None:
    told = environment(replace(PLAN, drained=frozenset({"node1"})), "node1")
    assert told["NBOPS_NODES"] == "[fd00::2]:13000"
    assert told["NBOPS_NODE"] == "198.18.0.11:13000 198.18.0.11:13001"
    assert told["NBOPS_HOST"] == "node1"
    assert "NBOPS_NODE" not in environment(PLAN)


def test_a_users_command_meets_no_shell() -> None:
    assert words("./b.sh 'a b' $HOME") == ["./b.sh", "a b", "$HOME"]
    assert words(["x", "y z"]) == ["x", "y z"]
