"""nginx: one file in `conf.d` for each cluster, beside whatever else the server does."""

from __future__ import annotations

from nbops.actions.api import ActionContext
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.nocobase.balancers.api import BalancerPlan, BalancerState, Change
from nbops.nocobase.balancers.applying import apply_files, checked, keep_script, readable, state_of
from nbops.nocobase.balancers.inflight import PROGRAM
from nbops.nocobase.balancers.nginx_conf import ROOT, SIDE_STATE, folder, site, site_path
from nbops.nocobase.files import Wanted, different

# Debian's welcome page: it stands on port 80 and would answer instead of the app.
WELCOME = "/etc/nginx/sites-enabled/default"
_AWAY = "/etc/nginx/nbops/welcome"
# Seconds for which answers close their connection before old workers close the idle ones.
_CLOSING = 2


class Nginx:
    """The balancer `nginx`."""

    kind = "nginx"
    programs = ("nginx", "curl", PROGRAM)

    def look(self, plan: BalancerPlan, ctx: ActionContext) -> BalancerState:
        """Its own side door tells which configuration runs."""
        outcome = ctx.probe(state_script(plan))
        if not outcome.ok:
            raise ActionFailed(f"cannot look at nginx on {ctx.host}: {outcome.err.strip()}")
        return state_of(outcome.out)

    def configure(self, plan: BalancerPlan, ctx: ActionContext) -> Change:
        """A site with an upstream of all live nodes; the welcome page of the package goes."""
        text, digest = site(plan)
        files = wanted(plan, text)
        changed = different(ctx, files)
        state = self.look(plan, ctx)
        welcome = state.details.get("welcome") == "yes"
        needed = bool(changed) or welcome or not state.running or state.digest != digest
        shown = readable(ctx, changed)
        if needed and not ctx.check:
            apply_files(ctx, "nginx", changed, lambda put: apply_script(plan, changed, put, digest))
        return Change(needed, shown)

    def switch(self, plan: BalancerPlan, ctx: ActionContext, *, on: bool) -> Change:
        """A file that every request looks for: in effect at once, without a reload."""
        before = self.look(plan, ctx)
        change = Change(before.maintenance is not on)
        if ctx.check:
            return change
        if on:
            outcome = ctx.act(switch_script(plan, on=True))
            if not outcome.ok:
                raise ActionFailed(f"nginx on {ctx.host}: {outcome.err.strip()}")
        if not before.digest or not before.running:
            # Never configured by this nbops: only what it wrote knows the switch.
            configured = self.configure(plan, ctx)
            change = Change(change.changed or configured.changed, configured.diffs)
        if not on and before.maintenance:
            outcome = ctx.act(switch_script(plan, on=False))
            if not outcome.ok:
                raise ActionFailed(f"nginx on {ctx.host}: {outcome.err.strip()}")
        return change

    def settle(self, plan: BalancerPlan, ctx: ActionContext) -> None:
        """Nothing: a reload returned when old workers had stopped taking requests."""


def wanted(plan: BalancerPlan, text: str) -> list[Wanted]:
    """The files of a cluster; the site last, which names the others."""
    at = folder(plan)
    files = [Wanted(f"{at}/pages/{name}", page) for name, page in sorted(plan.pages.items())]
    if plan.tls is not None:
        files += [
            Wanted(f"{at}/tls/certificate.pem", plan.tls.certificate),
            Wanted(f"{at}/tls/key.pem", plan.tls.key, 0o600),
        ]
    return [*files, Wanted(site_path(plan), text)]


def state_script(plan: BalancerPlan) -> str:
    """Prints `key value` lines: what stands on disk, and what runs."""
    return f"""\
if [ -e {WELCOME} ] || [ -L {WELCOME} ]; then echo welcome yes; fi
if systemctl is-active --quiet nginx && systemctl is-enabled --quiet nginx; then
    echo running yes
fi
if [ -f {quote(f"{folder(plan)}/maintenance")} ]; then echo maintenance yes; fi
digest=$(curl --silent --max-time 5 --noproxy '*' \\
    http://127.0.0.1:{plan.side_door}{SIDE_STATE} | head -c 64)
case "$digest" in *[!0-9a-f]*) ;; *) echo "digest $digest" ;; esac
if [ -f {quote(site_path(plan))} ]; then sed -n '1s/^/stamp /p' {quote(site_path(plan))}; fi
"""


def switch_script(plan: BalancerPlan, *, on: bool) -> str:
    """Puts the switch's file there, or away; on disk when it returns."""
    at = quote(folder(plan))
    change = f": > {at}/maintenance" if on else f"rm -f {at}/maintenance"
    return f"set -e\ninstall -d -m 755 {ROOT} {at}\n{change}\nsync {at}\n"


def apply_script(plan: BalancerPlan, changed: tuple[Wanted, ...], put: str, digest: str) -> str:
    """Puts files in place, has nginx check them, reloads, and waits until no old worker takes
    requests; what is refused is put back."""
    keep, restore, forget = keep_script([file.path for file in changed])
    at = quote(folder(plan))
    return f"""\
set -e
install -d -m 755 {ROOT} {at} {at}/pages
install -d -m 700 {at}/tls
conflicts() {{ nginx -t 2>&1 | grep -c 'conflicting server name' || true; }}
before=$(conflicts)
{keep}
back() {{
{restore}
    if [ -e {_AWAY} ] || [ -L {_AWAY} ]; then mv -f {_AWAY} {WELCOME}; fi
    rm -f {at}/closing
}}
refuse() {{ back; printf '%s\\n' "$1" >&2; exit 1; }}
{checked(put)}
if [ -e {WELCOME} ] || [ -L {WELCOME} ]; then mv -f {WELCOME} {_AWAY}; fi
said=$(nginx -t 2>&1) || refuse "$said"
[ "$(conflicts)" -le "$before" ] || refuse "$(nginx -t 2>&1 | grep 'conflicting server name')
another site has the same name and port: give each cluster its own balancer.address or port"
systemctl enable --quiet nginx
if systemctl is-active --quiet nginx; then
{_reload(plan, digest)}
else
    systemctl start nginx || {{ back; systemctl status -n 5 --no-pager nginx >&2 || true; exit 1; }}
fi
{forget}
rm -f {_AWAY}
"""


def _reload(plan: BalancerPlan, digest: str) -> str:
    """Reloads, with kept connections closed before, and returns when every old worker has
    stopped taking requests and a new one answers."""
    closing = quote(f"{folder(plan)}/closing")
    return f"""\
    main=$(systemctl show -p MainPID --value nginx)
    workers() {{ grep -ls "^PPid:[[:space:]]*$main\\$" /proc/[0-9]*/status | cut -d/ -f3; }}
    taking() {{ tr '\\0' ' ' < "/proc/$1/cmdline" 2>/dev/null | grep -v -q 'shutting down'; }}
    old=$(workers)
    : > {closing}
    sleep {_CLOSING}
    systemctl reload nginx
    left=100
    while :; do
        still=
        for one in $old; do
            if [ -d "/proc/$one" ] && taking "$one"; then still=yes; fi
        done
        runs=$(curl --silent --max-time 2 --noproxy '*' \\
            http://127.0.0.1:{plan.side_door}{SIDE_STATE} || true)
        if [ -z "$still" ] && [ "$runs" = {digest} ]; then break; fi
        left=$((left - 1))
        if [ "$left" -le 0 ]; then
            back
            systemctl reload nginx
            printf 'nginx did not take it over within 10 s:\\n' >&2
            tail -n 3 /var/log/nginx/error.log >&2 || true
            exit 1
        fi
        sleep 0.1
    done
    rm -f {closing}"""
