"""HAProxy: a service of its own for each cluster, beside whatever else runs on the host."""

from __future__ import annotations

from nbops.actions.api import ActionContext
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.nocobase.balancers.api import BalancerPlan, BalancerState, Change
from nbops.nocobase.balancers.applying import apply_files, checked, keep_script, readable, state_of
from nbops.nocobase.balancers.haproxy_conf import (
    KEPT,
    ROOT,
    config,
    config_path,
    folder,
    socket,
    unit,
    unit_path,
    unit_text,
)
from nbops.nocobase.balancers.inflight import PROGRAM
from nbops.nocobase.files import Wanted, different

# By then an old process has closed the connections that clients left idle at the reload.
_SETTLED = KEPT + 2


class HAProxy:
    """The balancer `haproxy`."""

    kind = "haproxy"
    programs = ("haproxy", "curl", PROGRAM)

    def look(self, plan: BalancerPlan, ctx: ActionContext) -> BalancerState:
        """What runs tells by itself, on a socket that only root may use."""
        outcome = ctx.probe(state_script(plan))
        if not outcome.ok:
            raise ActionFailed(f"cannot look at HAProxy on {ctx.host}: {outcome.err.strip()}")
        return state_of(outcome.out)

    def configure(self, plan: BalancerPlan, ctx: ActionContext) -> Change:
        """Checked by `haproxy -c` before the reload, which hands the sockets over."""
        text, digest = config(plan)
        changed = different(ctx, wanted(plan, text))
        state = self.look(plan, ctx)
        needed = bool(changed) or not state.running or state.digest != digest
        shown = readable(ctx, changed)
        if needed and not ctx.check:
            apply_files(
                ctx, "HAProxy", changed, lambda put: apply_script(plan, changed, put, digest)
            )
        return Change(needed, shown)

    def switch(self, plan: BalancerPlan, ctx: ActionContext, *, on: bool) -> Change:
        """The file first, which holds for the next start; then the process that runs."""
        before = self.look(plan, ctx)
        change = Change(before.maintenance is not on or before.details.get("file") != _word(on=on))
        if ctx.check:
            return change
        if change.changed:
            self._switch(plan, ctx, on=on)
        if not before.digest or not before.running:
            configured = self.configure(plan, ctx)
            change = Change(change.changed or configured.changed, configured.diffs)
        if on:
            self.settle(plan, ctx)
        return change

    def settle(self, plan: BalancerPlan, ctx: ActionContext) -> None:
        """An old process does not know the switch: wait until it has no idle connections."""
        outcome = ctx.probe(settle_script(plan), deadline=_SETTLED + 60)
        if not outcome.ok:
            raise ActionFailed(f"HAProxy on {ctx.host}: {outcome.err.strip()}")

    def _switch(self, plan: BalancerPlan, ctx: ActionContext, *, on: bool) -> None:
        outcome = ctx.act(switch_script(plan, on=on))
        if not outcome.ok:
            raise ActionFailed(f"HAProxy on {ctx.host}: {outcome.err.strip()}")


def wanted(plan: BalancerPlan, text: str) -> list[Wanted]:
    """The files of a cluster; the configuration last, which names the others."""
    at = folder(plan)
    files = [Wanted(f"{at}/pages/{name}", page) for name, page in sorted(plan.pages.items())]
    if plan.tls is not None:
        pair = f"{plan.tls.certificate.rstrip()}\n{plan.tls.key.reveal()}"
        files.append(Wanted(f"{at}/pair.pem", Secret(pair), 0o600))
    return [*files, Wanted(unit_path(plan), unit_text(plan)), Wanted(config_path(plan), text)]


def state_script(plan: BalancerPlan) -> str:
    """Prints `key value` lines: what stands on disk, and what runs."""
    name, at = unit(plan), folder(plan)
    return f"""\
if systemctl is-active --quiet {name} && systemctl is-enabled --quiet {name}; then
    echo running yes
fi
if [ -s {at}/maintenance ]; then echo file on; else echo file off; fi
said=$({_curl(plan, "/state")} || true)
case "$said" in
    *' maintenance') echo "digest ${{said% *}}"; echo maintenance yes ;;
    *' traffic') echo "digest ${{said% *}}" ;;
    *) if [ -s {at}/maintenance ]; then echo maintenance yes; fi ;;
esac
if [ -f {config_path(plan)} ]; then sed -n '1s/^/stamp /p' {config_path(plan)}; fi
"""


def switch_script(plan: BalancerPlan, *, on: bool) -> str:
    """Switches the file and, where one runs, the process; both stand when it returns."""
    at, word = folder(plan), "maintenance" if on else "traffic"
    return f"""\
set -e
install -d -m 755 {ROOT} {at}
printf '%s' {quote("down" + chr(10) if on else "")} > {at}/maintenance.nbops-new
sync {at}/maintenance.nbops-new
mv -f {at}/maintenance.nbops-new {at}/maintenance
if systemctl is-active --quiet {unit(plan)}; then
    said=$({_curl(plan, f"/{_word(on=on)}")})
    case "$said" in
        *' {word}') ;;
        *) echo "it does not switch: it says '$said'" >&2; exit 1 ;;
    esac
fi
"""


def settle_script(plan: BalancerPlan) -> str:
    """Waits, where an old process runs still, until the new one is old enough."""
    return f"""\
main=$(systemctl show -p MainPID --value {unit(plan)})
[ "$main" -gt 0 ] || exit 0
children() {{ grep -ls "^PPid:[[:space:]]*$main\\$" /proc/[0-9]*/status | cut -d/ -f3; }}
age() {{
    awk -v tick="$(getconf CLK_TCK)" 'NR == FNR {{ up = $1; next }}
        {{ sub(/.*\\) /, ""); print int(up - $20 / tick) }}' \
        /proc/uptime "/proc/$1/stat" 2>/dev/null
}}
while [ "$(children | wc -l)" -gt 1 ]; do
    youngest=$(for one in $(children); do age "$one"; done | sort -n | head -n 1)
    [ "${{youngest:-0}}" -lt {_SETTLED} ] || break
    sleep 0.5
done
exit 0
"""


def apply_script(plan: BalancerPlan, changed: tuple[Wanted, ...], put: str, digest: str) -> str:
    """Puts files in place, has HAProxy check them, reloads, and waits until the new process
    answers; what is refused is put back."""
    keep, restore, forget = keep_script([file.path for file in changed])
    name, at, file = unit(plan), folder(plan), config_path(plan)
    return f"""\
set -e
install -d -m 755 {ROOT} {at} {at}/pages
[ -e {at}/maintenance ] || : > {at}/maintenance
{keep}
back() {{
{restore}
    [ -f {quote(unit_path(plan))} ] || systemctl disable --quiet {name} 2>/dev/null || true
    systemctl daemon-reload
}}
refuse() {{ back; printf '%s\\n' "$1" >&2; exit 1; }}
{checked(put)}
said=$(haproxy -c -f {file} 2>&1) || refuse "$said"
systemctl daemon-reload
systemctl enable --quiet {name}
since=$(date '+%Y-%m-%d %H:%M:%S')
was=
if systemctl is-active --quiet {name}; then
    was=yes
    systemctl reload {name} || true
else
    timeout 20 systemctl start {name} || true
fi
left=100
while [ "$({_curl(plan, "/state")} | cut -d' ' -f1)" != {digest} ]; do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
        if [ -z "$was" ]; then systemctl stop {name} || true; fi
        back
        if [ -n "$was" ]; then systemctl reload {name} || true; fi
        printf 'it did not take it over within 10 s:\\n' >&2
        journalctl -q -u {name} --since "$since" -o cat -n 5 >&2 || true
        exit 1
    fi
    sleep 0.1
done
{forget}
"""


def _curl(plan: BalancerPlan, path: str) -> str:
    return f"curl --silent --max-time 5 --unix-socket {socket(plan)} http://root{path}"


def _word(*, on: bool) -> str:
    return "on" if on else "off"
