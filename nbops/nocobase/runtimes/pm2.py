"""Node.js on the host: an app folder for each version, run by a systemd unit through pm2.

    DIR/apps/2.2.15        the app of one version, as `create-nocobase-app` makes it (a link)
    DIR/node.env, …        what is wanted of the app, as `nocobase_configure` wrote it
    DIR/active.env         what the app was started with; a restart after a crash uses it again
    DIR/launch             starts the app so that a stop reaches pm2

The unit in /etc/systemd/system is that of the last start, as a container is: it says with
what it was started, and changes only when the app is started anew. It never starts by itself
until `come_back_script` lets it. Socket and pm2's home are the app's own, in memory: in the
storage folder, where the app would have them, one node takes the other's away.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbops.base.command import quote
from nbops.nocobase.files import Wanted
from nbops.nocobase.runtimes import pm2_folder
from nbops.nocobase.runtimes.api import ImageState, NodePlan, NodeState, Pull, Start, fingerprint
from nbops.nocobase.runtimes.pm2_folder import UNITS
from nbops.nocobase.runtimes.pm2_unit import LAUNCH, unit

_SHOWN = (
    "ActiveState",
    "SubState",
    "ExecMainCode",
    "ExecMainStatus",
    "NRestarts",
    "ExecMainStartTimestamp",
    "UnitFileState",
    "Result",
)
_KILLED = {"2", "3"}


class Pm2:
    """The runtime `pm2`."""

    kind = "pm2"
    folder_mode = 0o711

    def files(self, plan: NodePlan) -> Sequence[Wanted]:
        """Both environments and the unit, readable by root only, and the launcher."""
        return (
            Wanted(f"{plan.folder}/node.env", plan.environment, 0o600),
            Wanted(f"{plan.folder}/first.env", plan.first_environment, 0o600),
            Wanted(f"{plan.folder}/app.service", _template(plan), 0o600),
            Wanted(f"{plan.folder}/launch", LAUNCH, 0o755),
        )

    def written(self, plan: NodePlan) -> Sequence[str]:
        """What the app was started with."""
        return (f"{plan.folder}/active.env",)

    def configuration(self, plan: NodePlan) -> str:
        """The fingerprint of all that a start depends on."""
        return _configuration(plan)

    def image_script(self, plan: NodePlan) -> str:
        """Prints the mark of the version's folder, or nothing when it is not there."""
        return pm2_folder.look_script(plan)

    def read_image(self, output: str) -> ImageState:
        """The answer of `image_script`."""
        return ImageState(output.strip())

    def pull_script(self, plan: NodePlan, pull: Pull) -> str:
        """Makes the version's folder beside those that are there. A registry's user is for
        images: npm has its credentials from the host's own settings."""
        return pm2_folder.prepare_script(plan, pull.staged)

    def state_script(self, plan: NodePlan) -> str:
        """Prints `key=value` lines, or nothing when the app was never started."""
        name = quote(f"{plan.name}.service")
        shown = ",".join(_SHOWN)
        return f"""\
unit={UNITS}/{name}
[ -f "$unit" ] || exit 0
LC_ALL=C TZ=UTC systemctl show --property {shown} {name} || exit 1
sed -n 's/^X-/X-/p' "$unit"
"""

    def read_state(self, output: str) -> NodeState:
        """The answer of `state_script`."""
        if not output.strip():
            return NodeState()
        told = dict(line.partition("=")[::2] for line in output.splitlines())
        result = told.get("Result", "")
        code = int(told.get("ExecMainStatus") or 0)
        return NodeState(
            there=True,
            running=told.get("ActiveState") in {"active", "activating", "deactivating"}
            and not told.get("SubState", "").startswith("auto-restart"),
            exit_code=128 + code if told.get("ExecMainCode") in _KILLED else code,
            restarts=int(told.get("NRestarts") or 0),
            start=Start.FIRST if told.get("X-Start") == Start.FIRST else Start.NODE,
            configuration=told.get("X-Configuration", ""),
            image=told.get("X-Image", ""),
            since=told.get("ExecMainStartTimestamp", ""),
            comes_back=told.get("UnitFileState") == "enabled",
            trouble={"oom-kill": "out of memory"}.get(
                result, "" if result in {"", "success", "exit-code", "signal"} else result
            ),
        )

    def start_script(self, plan: NodePlan, start: Start) -> str:
        """Puts unit and environment in place as they are wanted now, and starts them."""
        name, folder = quote(f"{plan.name}.service"), quote(plan.folder)
        unit_file = f"{UNITS}/{name}"
        return f"""\
set -e
cd {folder}
{pm2_folder.find_script(plan)}
[ -n "$mark" ] || {{
    echo {quote(pm2_folder.folder(plan))}" has no mark of nbops, or a changed one" >&2; exit 1; }}
{_keep_down(plan)}
systemctl stop {name} 2>/dev/null || [ ! -f {unit_file} ]
install -m 600 {start.value}.env active.env.nbops-new
mv -f active.env.nbops-new active.env
sed -e 's/@START@/{start.value}/' -e "s/@IMAGE@/$mark/" -e "s|@APP@|$app|" app.service \\
    > {unit_file}.nbops-new
chmod 644 {unit_file}.nbops-new
mv -f {unit_file}.nbops-new {unit_file}
{pm2_folder.storage_script(plan)}
systemctl daemon-reload
systemctl reset-failed {name} 2>/dev/null || :
systemctl start {name}
"""

    def stop_script(self, plan: NodePlan, grace: int) -> str:
        """The policy first: an app that is killed must not come back."""
        return f"set -e\n{_stop(plan.name, grace)}"

    def come_back_script(self, plan: NodePlan, on: bool) -> str:
        """Starts after a crash by a drop-in, after a reboot by the unit being enabled."""
        if not on:
            return f"set -e\n{_keep_down(plan)}\nsystemctl daemon-reload\n"
        name = quote(f"{plan.name}.service")
        folder = f"{UNITS}/{name}.d"
        return f"""\
set -e
mkdir -p {folder}
printf '[Service]\\nRestart=always\\n' > {folder}/come-back.conf
systemctl enable --quiet {name}
systemctl daemon-reload
"""

    def log_script(
        self, plan: NodePlan, lines: int, since: str = "", *, follow: bool = False
    ) -> str:
        """What the app and pm2 wrote, without the journal's own words."""
        name = quote(f"{plan.name}.service")
        tail = f" --lines {lines}" if lines else " --lines all" if follow else ""
        after = f" --since {quote(since)}" if since else ""
        on = " --follow" if follow else ""
        return f"journalctl --quiet --no-pager --output cat --unit {name}{tail}{after}{on} 2>&1\n"

    def instances_script(self, plan: NodePlan) -> str:
        """The units of the cluster, by their names."""
        return f"""\
for unit in {UNITS}/{quote(f"nocobase-{plan.cluster}")}.service \\
    {UNITS}/{quote(f"nocobase-{plan.cluster}")}.[0-9]*.service; do
    [ ! -f "$unit" ] || basename "$unit" .service
done
"""

    def remove_script(self, name: str, grace: int) -> str:
        """Stops the unit and takes it away; the versions' folders stay."""
        exact = quote(f"{name}.service")
        return f"""\
set -e
[ -f {UNITS}/{exact} ] || exit 0
{_stop(name, grace)}
rm -rf {UNITS}/{exact} {UNITS}/{exact}.d
systemctl daemon-reload
"""


def _stop(name: str, grace: int) -> str:
    exact = quote(f"{name}.service")
    folder = f"{UNITS}/{exact}.d"
    return f"""\
mkdir -p {folder}
rm -f {folder}/come-back.conf
printf '[Service]\\nTimeoutStopSec={grace}\\n' > {folder}/grace.conf
systemctl disable --quiet {exact}
systemctl daemon-reload
systemctl stop {exact}
"""


def _keep_down(plan: NodePlan) -> str:
    name = quote(f"{plan.name}.service")
    return f"""\
rm -rf {UNITS}/{name}.d
[ ! -f {UNITS}/{name} ] || systemctl disable --quiet {name}"""


def _template(plan: NodePlan) -> str:
    return unit(plan, _configuration(plan))


def _configuration(plan: NodePlan) -> str:
    body = unit(plan, "")
    return fingerprint(plan, (body, LAUNCH, plan.environment, plan.first_environment))
