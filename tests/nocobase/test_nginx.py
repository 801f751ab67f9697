from __future__ import annotations

from dataclasses import replace

from nbops.nocobase.balancers.api import BalancerPlan, read_stamp
from nbops.nocobase.balancers.nginx import apply_script, state_script, switch_script, wanted
from nbops.nocobase.balancers.nginx_conf import site, site_path
from nbops.nocobase.balancers.pages import pages
from nbops.nocobase.cluster import Endpoint

NODES = (
    Endpoint("node1", 1, "198.18.0.11", 13000),
    Endpoint("node2", 1, "198.18.0.12", 13000),
    Endpoint("node3", 1, "2001:db8::3", 13000),
)
PLAN = BalancerPlan("eu-1", NODES, pages=pages())


def text(plan: BalancerPlan) -> str:
    return site(plan)[0]


def test_every_node_is_behind_it() -> None:
    assert "server 198.18.0.11:13000 " in text(PLAN)
    assert "server 198.18.0.12:13000 " in text(PLAN)
    assert "server [2001:db8::3]:13000 " in text(PLAN)


def test_a_drained_node_is_not() -> None:
    drained = text(replace(PLAN, drained=frozenset({"node1"})))
    assert "server 198.18.0.11:13000 " not in drained
    assert "server 198.18.0.12:13000 " in drained


def test_without_any_node_it_is_still_a_configuration() -> None:
    assert "down;" in text(BalancerPlan("eu-1", ()))


def test_what_stands_in_it_can_be_read_back() -> None:
    told = read_stamp(text(replace(PLAN, drained=frozenset({"node2"}))).splitlines()[0])
    assert told["nodes"] == ["198.18.0.11:13000", "198.18.0.12:13000", "[2001:db8::3]:13000"]
    assert told["drained"] == ["node2"]


def test_the_digest_knows_every_change_and_the_pages() -> None:
    plans = [
        PLAN,
        replace(PLAN, sticky=True),
        replace(PLAN, drained=frozenset({"node1"})),
        replace(PLAN, pages=pages("<p>ours</p>")),
        replace(PLAN, body_size="1m"),
        replace(PLAN, port=8080),
    ]
    digests = [site(plan)[1] for plan in plans]
    assert len(set(digests)) == len(plans)
    assert all(digest in text(plan) for digest, plan in zip(digests, plans, strict=True))


def test_websockets_pass() -> None:
    assert "proxy_set_header Upgrade $http_upgrade;" in text(PLAN)
    assert "proxy_http_version 1.1;" in text(PLAN)


def test_uploads_are_of_any_size_unless_limited() -> None:
    assert "client_max_body_size 0;" in text(PLAN)
    assert "client_max_body_size 100m;" in text(replace(PLAN, body_size="100m"))


def test_clients_stay_at_one_node_only_when_asked() -> None:
    assert "ip_hash" not in text(PLAN)
    assert "    ip_hash;\n" in text(replace(PLAN, sticky=True))


def test_clusters_whose_names_differ_in_a_sign_have_names_of_their_own() -> None:
    names = ["eu-1", "eu_1", "EU-1"]
    upstreams = {text(BalancerPlan(name, NODES)).split("upstream ")[1].split()[0] for name in names}
    assert len(upstreams) == 3
    assert len({name.lower() for name in upstreams}) == 3
    assert site_path(PLAN) == "/etc/nginx/conf.d/nbops-eu-1.conf"


def test_the_public_name_tells_clusters_on_one_port_apart() -> None:
    assert "server_name _;" in text(PLAN)
    named = replace(PLAN, address="https://app.example.com/")
    assert "server_name app.example.com;" in text(named)
    assert "server_name _;" in text(replace(PLAN, address="http://198.18.0.3"))


def test_the_site_is_checked_before_it_is_used() -> None:
    files = tuple(wanted(PLAN, text(PLAN)))
    script = apply_script(PLAN, files, "put\n", "abc")
    assert script.index("put\n") < script.index("said=$(nginx -t") < script.index("reload")


def test_the_switch_needs_no_reload() -> None:
    assert "reload" not in switch_script(PLAN, on=True)
    assert "maintenance" in state_script(PLAN)
