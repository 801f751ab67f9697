"""The systemd unit of an app without a container, and how it starts the app. Pure."""

from __future__ import annotations

import re

from nbops.nocobase.runtimes.api import PM2_PATIENCE, STOP_SECONDS, NodePlan

# `yarn start --quickstart` ends at once on SIGTERM, and so does the command that it runs: what
# they started would be killed. The signal goes to pm2, which stops the app; before pm2 is
# there, to the command. systemd ends what is left when this script has ended.
LAUNCH = """\
#!/bin/sh
# Written by nbops. Starts NocoBase as its official image does, in its app folder.
PATH=$PWD/node_modules/.bin:$PATH
export PATH
stop() {
    stopping=1
    kill -TERM "$(cat "$PM2_HOME/pm2.pid" 2>/dev/null || echo "$app")"
}
trap stop TERM INT
node node_modules/.bin/nocobase start --quickstart &
app=$!
wait "$app"
status=$?
if [ -n "${stopping:-}" ]; then
    wait "$app"
    status=$?
fi
exit "$status"
"""


def unit(plan: NodePlan, configuration: str) -> str:
    """The unit of an app.

    `@START@`, `@IMAGE@` and `@APP@` (its folder) are filled in when it is started; the
    section at its end is for nbops, systemd passes over it. The environment file's variables
    count for more than those that stand here.
    """
    run = f"/run/{plan.name}"
    own = {
        "HOME": run,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PM2_HOME": f"{run}/pm2",
        "SOCKET_PATH": f"{run}/gateway.sock",
        "STORAGE_PATH": plan.storage,
        **PM2_PATIENCE,
    }
    variables = "\n".join(f"Environment={name}={_word(value)}" for name, value in own.items())
    return f"""\
# Written by nbops when the app was started; the next start writes it anew.
[Unit]
Description=NocoBase of the cluster {plan.cluster}, port {plan.port}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={plan.user}
WorkingDirectory=@APP@
{variables}
EnvironmentFile={plan.folder}/active.env
RuntimeDirectory={plan.name}
RuntimeDirectoryMode=0700
ExecStart={plan.folder}/launch
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}
Restart=no
RestartSec=5
OOMPolicy=continue
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target

[X-Nbops]
X-Start=@START@
X-Image=@IMAGE@
X-Configuration={configuration}
"""


def _word(value: str) -> str:
    return re.sub("%", "%%", value)
