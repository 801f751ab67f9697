"""Redis as Debian packages it, run by nbops on the `redis` host.

The package's own file stays as it is but for a last line that includes ours: of two
settings, Redis takes the later one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.nocobase.files import Wanted, different, diffs, put_script, stage
from nbops.nocobase.kept import Service

PACKAGE_FILE = "/etc/redis/redis.conf"
OUR_FILE = "/etc/redis/nbops.conf"
PROGRAMS = ("redis-server", "redis-cli")
_UNIT = "redis-server.service"
SERVICE = Service(_UNIT, _UNIT, (OUR_FILE, PACKAGE_FILE))
_INCLUDE = f"include {OUR_FILE}"
_LOOKS = 1400  # five a second, within the deadline of a command
# Where the journal is switched on while data is there, Redis must write it before it
# restarts: it would otherwise start from the empty journal.
_JOURNAL_SECONDS = 120


@dataclass(frozen=True)
class RedisPlan:
    """The server as the cluster wants it. Without a password anyone who reaches it is let in."""

    port: int = 6379
    password: Secret | None = field(default=None, repr=False)
    databases: int = 16


def serve(plan: RedisPlan, ctx: ActionContext) -> Result:
    """Configure the server, and have it run now and after a reboot.

    Raises ActionFailed when there is none, or when it does not run as configured.
    """
    if not ctx.probe(f"test -f {PACKAGE_FILE} && command -v redis-server >/dev/null").ok:
        raise ActionFailed(
            f"there is no Redis server on {ctx.host}",
            hint=f"on {ctx.host}: `apt-get install redis-server`",
        )
    files = (
        Wanted(OUR_FILE, Secret(settings_file(plan)), 0o640, "redis", "redis"),
        Wanted(PACKAGE_FILE, included(ctx.fetch(PACKAGE_FILE).decode()), 0o640, "redis", "redis"),
    )
    changed = different(ctx, files)
    running = ctx.probe(running_script()).ok
    shown = diffs(ctx, changed)
    if (changed or not running) and not ctx.check:
        env = {"REDISCLI_AUTH": plan.password} if plan.password else {}
        script = serve_script(plan.port, put_script(stage(ctx, changed)))
        outcome = ctx.act(script, env=env)
        if not outcome.ok:
            raise ActionFailed(
                f"Redis on {ctx.host} does not run as configured: {outcome.err.strip()}",
                hint=f"on {ctx.host}: `journalctl -u {_UNIT} -n 50`",
            )
    return Result(changed=bool(changed) or not running, diff=shown or None, warnings=_open(plan))


def stop(ctx: ActionContext) -> Result:
    """Have the server stopped; it writes what it holds to its disk before. Raises ActionFailed."""
    running = ctx.probe(f"systemctl is-active --quiet {_UNIT}").ok
    if running and not ctx.check:
        outcome = ctx.act(f"systemctl stop {_UNIT}\n")
        if not outcome.ok:
            raise ActionFailed(f"Redis on {ctx.host} cannot be stopped: {outcome.err.strip()}")
    return Result(changed=running)


def start(plan: RedisPlan, ctx: ActionContext) -> Result:
    """Have the server run and answer, as it is configured. Raises ActionFailed."""
    running = ctx.probe(f"systemctl is-active --quiet {_UNIT}").ok
    if not running and not ctx.check:
        env = {"REDISCLI_AUTH": plan.password} if plan.password else {}
        outcome = ctx.act(f"systemctl start {_UNIT}\n{_answers(plan.port)}", env=env)
        if not outcome.ok:
            raise ActionFailed(
                f"Redis on {ctx.host} does not start: {outcome.err.strip()}",
                hint=f"on {ctx.host}: `journalctl -u {_UNIT} -n 50`",
            )
    return Result(changed=not running)


def settings_file(plan: RedisPlan) -> str:
    """Reached from every address; nothing is ever evicted (locks and queues are no cache),
    and what was written is there after a crash, but for the last second."""
    lines = [
        "# Written by nbops; what is changed here by hand is put back by the next deploy.",
        "bind * -::*",
        f"port {plan.port}",
        f"databases {plan.databases}",
        f"protected-mode {'yes' if plan.password else 'no'}",
        "maxmemory-policy noeviction",
        "appendonly yes",
        "appendfsync everysec",
    ]
    if plan.password:
        lines.append(f"requirepass {_quoted(plan.password.reveal())}")
    return "\n".join(lines) + "\n"


def included(text: str) -> str:
    """The package's file with our line at its end, once."""
    kept = [line for line in text.splitlines() if line.strip() != _INCLUDE]
    return "\n".join([*kept, _INCLUDE]) + "\n"


def running_script() -> str:
    """Succeeds when the server runs, and will after a reboot."""
    return f"systemctl is-active --quiet {_UNIT} && systemctl is-enabled --quiet {_UNIT}\n"


def serve_script(port: int, put: str) -> str:
    """Puts the files (`put`) and has the server run with them; waits until it answers.

    REDISCLI_AUTH holds the password, when there is one.
    """
    return f"""\
if systemctl is-active --quiet {_UNIT}; then
    old=$(sed -n 's/^port //p' {PACKAGE_FILE} {quote(OUR_FILE)} 2>/dev/null | tail -n 1)
    redis-cli -p "${{old:-6379}}" config set appendonly yes >/dev/null 2>&1 || true
    left={_JOURNAL_SECONDS}
    while redis-cli -p "${{old:-6379}}" info persistence 2>/dev/null |
            grep -Eq '^aof_rewrite_(in_progress|scheduled):1'; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || {{ echo 'it does not finish its journal' >&2; exit 1; }}
        sleep 1
    done
fi
{put}
systemctl enable --quiet {_UNIT}
systemctl restart {_UNIT}
{_answers(port)}"""


def _answers(port: int) -> str:
    """Waits until the server answers, also while it reads its journal."""
    return f"""\
left={_LOOKS}
until [ "$(redis-cli -p {port} ping 2>/dev/null)" = PONG ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || {{ echo 'it does not answer' >&2; exit 1; }}
    sleep 0.2
done
"""


def _open(plan: RedisPlan) -> tuple[str, ...]:
    if plan.password:
        return ()
    return (
        "Redis has no password: whoever reaches its port reads and writes everything;"
        " set `redis.password`, or let only the nodes reach it",
    )


def _quoted(text: str) -> str:
    """A value in Redis' own quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
