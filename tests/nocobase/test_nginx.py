from __future__ import annotations

from nbops.nocobase.balancers.api import BalancerPlan
from nbops.nocobase.balancers.nginx import apply_script, site, site_path

PLAN = BalancerPlan("eu-1", ("198.18.0.11:13000", "198.18.0.12:13000"))


def test_every_node_is_behind_it() -> None:
    text = site(PLAN)
    assert "server 198.18.0.11:13000 " in text
    assert "server 198.18.0.12:13000 " in text


def test_websockets_pass() -> None:
    text = site(PLAN)
    assert "proxy_set_header Upgrade $http_upgrade;" in text
    assert "proxy_http_version 1.1;" in text


def test_uploads_are_of_any_size_unless_limited() -> None:
    assert "client_max_body_size 0;" in site(PLAN)
    limited = BalancerPlan("eu-1", (), body_size="100m")
    assert "client_max_body_size 100m;" in site(limited)


def test_clients_stay_at_one_node_only_when_asked() -> None:
    assert "ip_hash" not in site(PLAN)
    assert "    ip_hash;\n" in site(BalancerPlan("eu-1", ("a:1",), sticky=True))


def test_a_clusters_name_is_a_name_for_nginx_too() -> None:
    assert "upstream nbops_eu_1 {" in site(PLAN)
    assert site_path(PLAN) == "/etc/nginx/conf.d/nbops-eu-1.conf"


def test_the_site_is_checked_before_it_is_used() -> None:
    script = apply_script("/etc/nginx/conf.d/x.conf", "put\n")
    assert script.index("put\n") < script.index("nginx -t") < script.index("reload")
