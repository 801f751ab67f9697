"""The text of HAProxy's configuration for a cluster. Pure.

Why it is as it is:
- Each cluster has a HAProxy of its own, with its own unit and file: the user's haproxy.cfg and
  the service that comes with the package are left alone.
- The 503 page is switched through a socket that only root may use, and by a file that is read
  at the next start: in effect at once, also for connections that are open already. A reload
  would let the old process answer one more request on each of them.
- `idle-close-on-response`: an old process closes a kept connection with an answer, never in the
  moment in which a request is on its way. A connection to a node serves one request, so that a
  node cannot close it in the moment in which a POST is sent.
- Websockets go out with TCP keepalive, ordinary requests without: that is how the two are told
  apart on the balancer when requests in flight are waited for (see `inflight.py`).
"""

from __future__ import annotations

import re
import zlib

from nbops.nocobase.balancers.api import MARK, RETRY_AFTER, BalancerPlan, stamp
from nbops.nocobase.balancers.pages import CHINESE
from nbops.nocobase.cluster import Endpoint
from nbops.nocobase.health import HEALTH_PATH

ROOT = "/etc/haproxy/nbops"
KEPT = 5  # seconds that an idle connection of a client is kept
_BUFFER = 16384
_HEADERS = 2048

_TEXT = """\
# Written by nbops; what is changed here by hand is put back by the next deploy.
global
    log stdout format raw local0
    user haproxy
    group haproxy
    chroot /var/lib/haproxy
    # Two servers on one port would share its requests: the second is to fail instead.
    noreuseport
    hard-stop-after 24h
    tune.bufsize {buffer}

defaults nbops
    mode http
    log global
    option httplog
    option dontlognull
    option idle-close-on-response
    option http-server-close
    option redispatch 1
    retries 2
    # What was not sent yet may go to another node; nothing is sent twice.
    retry-on conn-failure
    timeout connect 3s
    timeout check 5s
    timeout queue 10s
    timeout client {timeout}s
    timeout server {timeout}s
    timeout http-request 30s
    timeout http-keep-alive {kept}s
    timeout client-fin 30s
    timeout tunnel 24h

frontend visitors from nbops
{binds}    acl down str(down) -f {folder}/maintenance
    acl api path_beg /api/
    acl html req.hdr(accept) -m sub -i text/html
    acl json req.hdr(accept) -m sub -i application/json
    acl chinese req.fhdr(accept-language) -m reg -i "{chinese}"
{answers}{limit}{redirect}    option forwardfor
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Proto {proto}
    use_backend sockets if {{ req.hdr(upgrade) -i websocket }}
    default_backend nodes

frontend side_door from nbops
    bind 127.0.0.1:{side_door}
    option forwardfor
    use_backend sockets if {{ req.hdr(upgrade) -i websocket }}
    default_backend nodes

frontend root_only from nbops
    bind unix@{socket} mode 600
    no log
    stats enable
    stats uri /stats
    http-request add-acl({folder}/maintenance) down if {{ path /on }}
    http-request del-acl({folder}/maintenance) down if {{ path /off }}
    acl down str(down) -f {folder}/maintenance
    acl ours path /state /on /off
    http-request set-var(txn.mode) str(traffic)
    http-request set-var(txn.mode) str(maintenance) if down
    http-request return status 200 content-type text/plain lf-string "@DIGEST@ %[var(txn.mode)]" \
if ours

backend nodes from nbops
{balance}    option httpchk
    http-check send meth GET uri {health} ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    default-server inter 2s fastinter 500ms fall 2 rise 1
{servers}
backend sockets from nbops
{balance}    option srvtcpka
{sockets}"""

UNIT = """\
# Written by nbops.
[Unit]
Description=HAProxy in front of the NocoBase cluster {cluster}
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
RuntimeDirectory={unit}
RuntimeDirectoryMode=0755
ExecStart=/usr/sbin/haproxy -Ws -f {config} -p /run/{unit}/haproxy.pid
ExecReload=/usr/sbin/haproxy -c -q -f {config}
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=always
SuccessExitStatus=143
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""


def unit(plan: BalancerPlan) -> str:
    """The name of the cluster's service."""
    return f"nbops-haproxy-{plan.cluster}"


def unit_path(plan: BalancerPlan) -> str:
    """Where its unit stands."""
    return f"/etc/systemd/system/{unit(plan)}.service"


def unit_text(plan: BalancerPlan) -> str:
    """The unit: as that of the package, for a file of its own."""
    return UNIT.format(cluster=plan.cluster, unit=unit(plan), config=config_path(plan))


def folder(plan: BalancerPlan) -> str:
    """Where the cluster's files stand."""
    return f"{ROOT}/{plan.cluster}"


def config_path(plan: BalancerPlan) -> str:
    """Where the configuration stands."""
    return f"{folder(plan)}/haproxy.cfg"


def socket(plan: BalancerPlan) -> str:
    """The socket that only root may use: state, switch, and HAProxy's own page of statistics."""
    return f"/run/{unit(plan)}/root.sock"


def server_name(node: Endpoint) -> str:
    """A node's name as HAProxy allows it, still told apart from every other."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", node.name)
    return plain if plain == node.name else f"{plain}-{zlib.crc32(node.name.encode()):08x}"


def config(plan: BalancerPlan) -> tuple[str, str]:
    """The whole configuration, and its digest."""
    largest = max((len(page.encode()) for page in plan.pages.values()), default=0)
    tls = f" ssl crt {folder(plan)}/pair.pem" if plan.tls else ""
    binds = _bind(plan, plan.port, tls) + (_bind(plan, 80) if plan.redirects else "")
    limit = f"{{ req.hdr_val(content-length) gt {plan.body_bytes} }}"
    text = _TEXT.format(
        buffer=max(_BUFFER, largest + _HEADERS),
        timeout=plan.timeout,
        kept=KEPT,
        binds=binds,
        folder=folder(plan),
        chinese=CHINESE,
        answers="".join(_answers(plan)),
        limit=f"    http-request deny deny_status 413 if {limit}\n" if plan.body_bytes else "",
        redirect="    http-request redirect scheme https code 308 unless { ssl_fc }\n"
        if plan.redirects
        else "",
        # What a TLS server in front of this one says is kept.
        proto="https if { ssl_fc }"
        if plan.tls
        else "http unless { req.hdr(x-forwarded-proto) https }",
        side_door=plan.side_door,
        socket=socket(plan),
        balance="    balance source\n    hash-type consistent\n"
        if plan.sticky
        else "    balance roundrobin\n",
        health=HEALTH_PATH,
        servers="".join(_server(plan, node, "check") for node in plan.nodes),
        sockets="".join(
            _server(plan, node, f"track nodes/{server_name(node)}") for node in plan.nodes
        ),
    )
    line, digest = stamp(plan, text)
    return f"{line}\n{text}".replace("@DIGEST@", digest), digest


def _answers(plan: BalancerPlan) -> list[str]:
    """The 503 page: the first rule that fits is the answer."""
    lines = []
    for condition, ending in (("api", "json"), ("json !html", "json"), ("", "html")):
        kind = "application/json" if ending == "json" else "text/html; charset=utf-8"
        for also, language in ((" chinese", "zh"), ("", "en")):
            lines.append(
                f'    http-request return status 503 content-type "{kind}"'
                f" file {folder(plan)}/pages/{language}.{ending}"
                f" hdr Retry-After {RETRY_AFTER} hdr {MARK} on hdr Cache-Control no-store"
                f" if {' '.join(f'down {condition}{also}'.split())}\n"
            )
    return lines


def _bind(plan: BalancerPlan, port: int, options: str = "") -> str:
    also = f"    bind [::]:{port} v6only{options}\n" if plan.ipv6 else ""
    return f"    bind 0.0.0.0:{port}{options}\n{also}"


def _server(plan: BalancerPlan, node: Endpoint, options: str) -> str:
    weight = " weight 0" if node.host in plan.drained else ""
    return f"    server {server_name(node)} {node.place} {options}{weight}\n"
