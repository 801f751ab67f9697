"""nginx: one file in `conf.d` for each cluster."""

from __future__ import annotations

import re

from nbops.actions.api import ActionContext, Result
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.nocobase.balancers.api import BalancerPlan
from nbops.nocobase.files import Wanted, different, diffs, put_script, stage

# Debian's welcome page: it stands on port 80 and would answer instead of the app.
WELCOME = "/etc/nginx/sites-enabled/default"


class Nginx:
    """The balancer `nginx`."""

    kind = "nginx"
    programs = ("nginx",)

    def configure(self, plan: BalancerPlan, ctx: ActionContext) -> Result:
        """A site with an upstream of all nodes; the welcome page of the package goes."""
        file = Wanted(site_path(plan), site(plan))
        changed = different(ctx, [file])
        state = ctx.probe(state_script())
        welcome, running = (word == "yes" for word in state.out.split())
        shown = diffs(ctx, changed)
        needed = bool(changed) or welcome or not running
        if needed and not ctx.check:
            staged = stage(ctx, changed)
            outcome = ctx.act(apply_script(file.path, put_script(staged)))
            if not outcome.ok:
                raise ActionFailed(
                    f"nginx on {ctx.host} refuses its configuration, which was put back:"
                    f" {outcome.err.strip()}",
                    hint=f"on {ctx.host}: `nginx -t` shows what stands there now",
                )
        return Result(changed=needed, diff=shown or None, values={"nodes": list(plan.nodes)})


def site_path(plan: BalancerPlan) -> str:
    """Where the cluster's site stands."""
    return f"/etc/nginx/conf.d/nbops-{plan.cluster}.conf"


def site(plan: BalancerPlan) -> str:
    """The whole configuration of a cluster's site."""
    name = f"nbops_{re.sub('[^A-Za-z0-9]', '_', plan.cluster)}"
    servers = "\n".join(f"    server {node} max_fails=3 fail_timeout=10s;" for node in plan.nodes)
    stick = "    ip_hash;\n" if plan.sticky else ""
    return f"""\
# Written by nbops; what is changed here by hand is put back by the next deploy.
# A websocket asks for an upgrade; all other requests share kept connections.
map $http_upgrade ${name}_connection {{
    default upgrade;
    ''      '';
}}

upstream {name} {{
    zone {name} 64k;
{stick}{servers}
    keepalive 32;
}}

server {{
    listen {plan.port};
    server_name _;
    client_max_body_size {plan.body_size};

    location / {{
        proxy_pass http://{name};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection ${name}_connection;
        proxy_connect_timeout 5s;
        proxy_send_timeout {plan.timeout}s;
        proxy_read_timeout {plan.timeout}s;
    }}
}}
"""


def state_script() -> str:
    """Prints whether the welcome page stands, and whether nginx runs and will after a reboot."""
    return f"""\
if [ -e {WELCOME} ] || [ -L {WELCOME} ]; then echo yes; else echo no; fi
if systemctl is-active --quiet nginx && systemctl is-enabled --quiet nginx; then
    echo yes
else
    echo no
fi
"""


def apply_script(path: str, put: str) -> str:
    """Puts the site (`put`), has nginx check it, and puts back what was there when it is
    refused; then a reload, which drops no request."""
    site, old = quote(path), quote(f"{path}.nbops-old")
    return f"""\
set -e
rm -f {old}
if [ -f {site} ]; then cp -p {site} {old}; fi
away=/etc/nginx/nbops-welcome
( {put} )
if [ -e {WELCOME} ] || [ -L {WELCOME} ]; then mv -f {WELCOME} "$away"; fi
if ! said=$(nginx -t 2>&1); then
    if [ -f {old} ]; then mv -f {old} {site}; else rm -f {site}; fi
    if [ -e "$away" ] || [ -L "$away" ]; then mv -f "$away" {WELCOME}; fi
    printf '%s\\n' "$said" >&2
    exit 1
fi
rm -f {old} "$away"
systemctl enable --quiet nginx
if systemctl is-active --quiet nginx; then
    systemctl reload nginx
else
    systemctl start nginx
fi
"""
