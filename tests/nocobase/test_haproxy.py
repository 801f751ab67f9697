from __future__ import annotations

from dataclasses import replace

from nbops.nocobase.balancers.api import BalancerPlan, read_stamp
from nbops.nocobase.balancers.haproxy import apply_script, switch_script, wanted
from nbops.nocobase.balancers.haproxy_conf import config, server_name, unit_text
from nbops.nocobase.balancers.pages import pages
from nbops.nocobase.cluster import Endpoint

NODES = (
    Endpoint("node1", 1, "198.18.0.11", 13000),
    Endpoint("node2", 1, "198.18.0.12", 13000),
    Endpoint("node3", 2, "2001:db8::3", 13001),
)
PLAN = BalancerPlan("eu-1", NODES, pages=pages())


def text(plan: BalancerPlan) -> str:
    return config(plan)[0]


def test_every_node_is_behind_it_and_asked_for_its_health() -> None:
    assert "server node1 198.18.0.11:13000 check\n" in text(PLAN)
    assert f"server {server_name(NODES[2])} [2001:db8::3]:13001 check\n" in text(PLAN)
    assert "uri /api/__health_check" in text(PLAN)


def test_a_drained_node_is_known_but_gets_nothing() -> None:
    drained = text(replace(PLAN, drained=frozenset({"node1"})))
    assert "server node1 198.18.0.11:13000 check weight 0\n" in drained
    assert "server node2 198.18.0.12:13000 check\n" in drained
    assert read_stamp(drained.splitlines()[0])["drained"] == ["node1"]


def test_names_that_it_does_not_allow_are_still_told_apart() -> None:
    names = {
        server_name(Endpoint(name, 1, "a", 1)) for name in ("a b", "a_b", "a:b", "a\nb", 'a"b')
    }
    assert len(names) == 5
    assert not any(set(name) & set(' \n:"') for name in names)


def test_the_largest_request_is_in_bytes() -> None:
    assert "content-length) gt 104857600" in text(replace(PLAN, body_size="100m"))
    assert "content-length) gt 2048" in text(replace(PLAN, body_size="2k"))
    assert "deny_status 413" not in text(PLAN)


def test_a_large_page_fits_its_buffer() -> None:
    assert "tune.bufsize 16384\n" in text(PLAN)
    assert "tune.bufsize 102048\n" in text(replace(PLAN, pages=pages("x" * 100000)))


def test_clients_stay_at_one_node_only_when_asked() -> None:
    assert "balance roundrobin" in text(PLAN)
    assert "balance source" in text(replace(PLAN, sticky=True))


def test_the_users_haproxy_is_left_alone() -> None:
    paths = [file.path for file in wanted(PLAN, text(PLAN))]
    assert "/etc/haproxy/haproxy.cfg" not in paths
    assert all("nbops" in path for path in paths)
    assert "-f /etc/haproxy/nbops/eu-1/haproxy.cfg" in unit_text(PLAN)


def test_it_is_checked_before_it_is_used() -> None:
    script = apply_script(PLAN, tuple(wanted(PLAN, text(PLAN))), "put\n", "abc")
    script = script[script.index("put\n") :]
    assert script.index("haproxy -c") < script.index("systemctl reload")


def test_the_switch_needs_no_reload() -> None:
    assert "reload" not in switch_script(PLAN, on=True)
