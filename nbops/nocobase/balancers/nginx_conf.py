"""The text of nginx's site for a cluster. Pure.

Why it is as it is:
- Requests to the nodes use no kept connections: a node that closes one in the moment in which
  a POST is sent on it would make it fail, and a POST is not sent twice.
- The 503 page is switched by a file that every request looks for, not by a reload: it takes
  effect at once, for connections that are open already too, and no worker is replaced.
- Before a reload, answers close their connection for a while (`closing`): old workers close
  idle connections, and a POST sent in that moment would be lost.
- Uploads are not gathered before they are passed on: an upload under way is then a connection
  to its node, and so is waited for like any other request.
- Websockets go out with TCP keepalive, ordinary requests without: that is how the two are told
  apart on the balancer when requests in flight are waited for (see `inflight.py`).
"""

from __future__ import annotations

import re
import zlib

from nbops.nocobase.balancers.api import MARK, RETRY_AFTER, BalancerPlan, stamp
from nbops.nocobase.balancers.pages import CHINESE

ROOT = "/etc/nginx/nbops"
PAGES = "/.nbops-503/"
SIDE_STATE = "/.nbops"

_HEAD = """\
# Written by nbops; what is changed here by hand is put back by the next deploy.
map $http_upgrade ${name}_connection {{
    default upgrade;
    ''      close;
}}
map $http_x_forwarded_proto ${name}_proto {{
    default $scheme;
    https   https;
}}
map $http_accept_language ${name}_language {{
    default en;
    "~*{chinese}" zh;
}}
map "$uri $http_accept" ${name}_ending {{
    default html;
    ~*^/api/ json;
    ~*^\\S+\\s.*text/html html;
    ~*^\\S+\\s.*application/json json;
}}

upstream {name} {{
    zone {name} 64k;
{stick}{servers}
}}
"""

_PROXY = """\
    client_max_body_size {body_size};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto ${name}_proto;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection ${name}_connection;
    # Only what was not sent yet, and what may be sent twice (no POST), goes to another node.
    proxy_next_upstream error timeout;
    proxy_request_buffering off;
    proxy_connect_timeout 3s;
    proxy_send_timeout {timeout}s;
    proxy_read_timeout {timeout}s;

    location / {{
        error_page 597 = @socket;
        error_page 598 = @closing;
        if ($http_upgrade ~* ^websocket$) {{ return 597; }}
        if (-f {folder}/closing) {{ return 598; }}
        proxy_pass http://{name};
    }}
    location @socket {{
        proxy_socket_keepalive on;
        proxy_pass http://{name};
    }}
    location @closing {{
        keepalive_timeout 0;
        proxy_pass http://{name};
    }}
"""

# The page is reached by an internal redirect, which passes here a second time: the variable
# grows, so that it is refused only once.
_MAINTENANCE = """\
    uninitialized_variable_warn off;
    if (-f {folder}/maintenance) {{ set ${name}_down "${{{name}_down}}x"; }}
    if (${name}_down = x) {{ return 503; }}
    error_page 503 {pages}${name}_language.${name}_ending;
    location ^~ {pages} {{
        internal;
        alias {folder}/pages/;
        types {{ text/html html; application/json json; }}
        charset utf-8;
        client_max_body_size 0;
        etag off;
        if_modified_since off;
        max_ranges 0;
        add_header Retry-After {retry} always;
        add_header {mark} on always;
        add_header Cache-Control no-store always;
    }}
"""


def folder(plan: BalancerPlan) -> str:
    """Where the cluster's own files stand: pages, certificate, and the switches."""
    return f"{ROOT}/{plan.cluster}"


def site_path(plan: BalancerPlan) -> str:
    """Where the cluster's site stands."""
    return f"/etc/nginx/conf.d/nbops-{plan.cluster}.conf"


def site(plan: BalancerPlan) -> tuple[str, str]:
    """The whole configuration of a cluster's site, and its digest."""
    name = _name(plan)
    values = {
        "name": name,
        "folder": folder(plan),
        "chinese": CHINESE,
        "pages": PAGES,
        "retry": RETRY_AFTER,
        "mark": MARK,
        "body_size": plan.body_size,
        "timeout": plan.timeout,
        "stick": "    ip_hash;\n" if plan.sticky else "",
        "servers": "\n".join(
            f"    server {node.place} max_fails=2 fail_timeout=5s;" for node in plan.live
        )
        # An upstream without a server is refused: the port of nobody stands in.
        or "    server 127.0.0.1:9 down;",
    }
    proxy, maintenance = _PROXY.format_map(values), _MAINTENANCE.format_map(values)
    parts = [_HEAD.format_map(values), _server(plan, maintenance + proxy)]
    if plan.redirects:
        parts.append(_redirect(plan, maintenance))
    parts.append(_side_door(plan, proxy, "@DIGEST@"))
    text = "\n".join(parts)
    line, digest = stamp(plan, text)
    return f"{line}\n{text}".replace("@DIGEST@", digest), digest


def _server(plan: BalancerPlan, inside: str) -> str:
    tls = ""
    if plan.tls is not None:
        at = f"{folder(plan)}/tls"
        tls = f"    ssl_certificate {at}/certificate.pem;\n    ssl_certificate_key {at}/key.pem;\n"
    listen = _listen(plan, plan.port, " ssl" if plan.tls else "")
    return f"server {{\n{listen}    server_name {plan.name or '_'};\n{tls}{inside}}}\n"


def _redirect(plan: BalancerPlan, maintenance: str) -> str:
    """Status 308: a POST stays a POST."""
    return (
        f"server {{\n{_listen(plan, 80)}    server_name {plan.name or '_'};\n{maintenance}"
        "    location / { return 308 https://$host$request_uri; }\n}\n"
    )


def _side_door(plan: BalancerPlan, proxy: str, digest: str) -> str:
    """For the operator, also under maintenance: from the balancer itself only."""
    return (
        f"server {{\n    listen 127.0.0.1:{plan.side_door};\n    server_name _;\n{proxy}"
        f"    location = {SIDE_STATE} {{ return 200 {digest}; }}\n}}\n"
    )


def _listen(plan: BalancerPlan, port: int, options: str = "") -> str:
    addresses = [str(port), *([f"[::]:{port}"] if plan.ipv6 else [])]
    return "".join(f"    listen {address}{options};\n" for address in addresses)


def _name(plan: BalancerPlan) -> str:
    """A name for upstream and variables, which know letters, digits and `_` only and no case."""
    plain = re.sub("[^a-z0-9]", "_", plan.cluster.lower())
    return f"nbops_{plain}_{zlib.crc32(plan.cluster.encode()):08x}"
