"""One machine: its disk, its configuration, and the systemd-nspawn that runs it."""

from __future__ import annotations

import json
import secrets
import shlex
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbops.base.errors import LabError
from nbops.lab import cgroups, network
from nbops.lab.cgroups import Hierarchies
from nbops.lab.images.storage import registry_settings
from nbops.lab.layout import REGISTRY_PORT, Machine, Role, Subnet, machine_name
from nbops.lab.mounts import read_mounts
from nbops.lab.shell import last_lines, run
from nbops.lab.state import Disk, Folders, write_file

BOOT_DEADLINE = 600
STORAGE = "/srv/nocobase/storage"
_REGISTRY_FOLDER = "/var/lib/docker-registry"
_REBOOT = 133

UNITS = {
    Role.APP: ("containerd.service", "docker.socket", "docker.service"),
    Role.REGISTRY: ("docker-registry.service",),
}

# A cluster is seldom reached as root.
_LOGINS = """\
set -eu
for name in ops duty guest; do
    useradd --create-home --shell /bin/bash "$name"
    install -d -m 700 -o "$name" -g "$name" "/home/$name/.ssh"
    install -m 600 -o "$name" -g "$name" /root/.ssh/authorized_keys "/home/$name/.ssh/"
done
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops
echo 'duty ALL=(ALL:ALL) ALL' > /etc/sudoers.d/duty
chmod 440 /etc/sudoers.d/ops /etc/sudoers.d/duty
chpasswd
"""

_RUNNER = """\
#!/bin/sh
# Keeps one machine running until it is switched off: a reboot in it ends systemd-nspawn
# with status {reboot}, and it is started again on the same disk.
join() {{
    for folder in "$@"; do
        echo 0 > "$folder/cgroup.procs" || exit 1
    done
}}
join {watch}
while :; do
    (
        join {groups}
        exec {command}
    )
    [ $? = {reboot} ] || break
done
"""


@dataclass(frozen=True, slots=True)
class Site:
    """What all machines of a lab have in common."""

    lab: str
    subnet: Subnet
    folders: Folders
    base: Path
    hierarchies: Hierarchies
    machines: tuple[Machine, ...]

    @property
    def registry(self) -> str:
        """The address of the lab's image registry."""
        return next(m.address for m in self.machines if m.role is Role.REGISTRY)


def mount_disk(site: Site, machine: Machine) -> None:
    """Put the machine's `/` together; does nothing when that is done already."""
    disk = site.folders.machine(machine.host)
    for folder in (disk.root, disk.upper, disk.work, disk.merged, disk.docker):
        folder.mkdir(parents=True, exist_ok=True)
    disk.upper.chmod(0o755)
    if any(mount.folder == disk.merged for mount in read_mounts()):
        return
    layers = f"lowerdir={site.base},upperdir={disk.upper},workdir={disk.work}"
    run(["mount", "-t", "overlay", f"nbops-{site.lab}", "-o", layers, disk.merged])


def configure(site: Site, machine: Machine) -> str:
    """Give a fresh disk its identity and settings. Returns the machine's public key."""
    root = site.folders.machine(machine.host).merged
    host_key = root / "etc/ssh/ssh_host_ed25519_key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", machine.host, "-f", host_key])
    prefix = site.subnet.network.prefixlen
    texts = {
        "etc/hostname": f"{machine.host}\n",
        "etc/machine-id": f"{secrets.token_hex(16)}\n",
        # Must sort before 80-container-host0.network, which would ask for DHCP.
        "etc/systemd/network/10-host0.network": "[Match]\nName=host0\n\n[Network]\n"
        f"Address={machine.address}/{prefix}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
        # All connections come from one address; on a busy box some of them give up.
        "etc/ssh/sshd_config.d/penalties.conf": "PerSourcePenalties no\n",
    }
    for path, text in (texts | _role_files(site, machine)).items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, text, mode=0o644)
    public = site.folders.key.with_suffix(".pub").read_text(encoding="ascii")
    write_file(root / "root/.ssh/authorized_keys", public)
    password = site.folders.sudo_password.read_text(encoding="ascii").strip()
    run(["chroot", root, "sh", "-c", _LOGINS], stdin=f"duty:{password}\n")
    if units := UNITS.get(machine.role):
        run(["chroot", root, "systemctl", "enable", *units])
    return host_key.with_suffix(".pub").read_text(encoding="ascii").strip()


def write_names(site: Site) -> None:
    """Tell every machine the names of all, also those that run."""
    names = "".join(f"{other.address} {other.host}\n" for other in site.machines)
    for each in site.machines:
        target = site.folders.machine(each.host).merged / "etc/hosts"
        write_file(target, f"127.0.0.1 localhost\n{names}", mode=0o644)


def start(site: Site, machine: Machine) -> subprocess.Popen[bytes]:
    """Start the machine and return its keeper at once; it outlives this process."""
    disk = site.folders.machine(machine.host)
    for group in (cgroups.WATCH, machine.host):
        cgroups.make(site.hierarchies, site.lab, group)
    write_file(disk.runner, runner(site, machine, nspawn(site, machine)), mode=0o700)
    with disk.log.open("ab") as log:
        return subprocess.Popen(
            ["sh", disk.runner],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )


def runner(site: Site, machine: Machine, command: Sequence[str]) -> str:
    """The text of the script that keeps the machine running. Pure."""
    here, lab = site.hierarchies, site.lab
    return _RUNNER.format(
        reboot=_REBOOT,
        watch=shlex.join(str(path) for path in here.folders(lab, cgroups.WATCH)),
        groups=shlex.join(str(path) for path in here.folders(lab, machine.host)),
        command=shlex.join(command),
    )


def nspawn(site: Site, machine: Machine) -> list[str]:
    """The command that is the machine."""
    disk = site.folders.machine(machine.host)
    binds = []
    if machine.role is Role.APP:
        shared = f"--bind={site.folders.storage}:{STORAGE}"
        binds = [f"--bind={disk.docker}:/var/lib/docker", shared]
    if machine.role is Role.REGISTRY:
        binds = [f"--bind-ro={site.folders.images.resolve()}:{_REGISTRY_FOLDER}"]
    return [
        # `ip netns exec` would hide /sys/fs/cgroup.
        *("nsenter", f"--net={network.namespace(site.lab)}", "--"),
        "systemd-nspawn",
        "--quiet",
        f"--directory={disk.merged}",
        f"--machine={machine_name(machine.host, site.subnet)}",
        f"--hostname={machine.host}",
        f"--network-bridge={network.BRIDGE}",
        # No systemd has to run on the box, and none is told.
        *("--register=no", "--keep-unit", "--settings=no"),
        *("--capability=all", "--system-call-filter=add_key keyctl bpf"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"),
        *binds,
        # The log on the box is the journal, in plain lines and once.
        "--setenv=TERM=dumb",
        *("--boot", "systemd.show_status=no", "systemd.log_color=no"),
    ]


def is_running(site: Site, machine: Machine) -> bool:
    """Whether any process of the machine is there."""
    return bool(cgroups.members(site.hierarchies, site.lab, machine.host))


def wait_until_ready(
    site: Site, machine: Machine, ssh: Sequence[str], keeper: subprocess.Popen[bytes]
) -> None:
    """Wait until sshd answers and every unit of the machine has started.

    `keeper` is what `start` gave: on a busy box it is a while until the machine's groups
    have members, so they do not tell whether it stopped. `ssh` is the command that opens a
    connection to it. Raises LabError with the end of the machine's log when it stops, a unit
    fails, or the deadline passes.
    """
    until = time.monotonic() + BOOT_DEADLINE
    while not _greets(machine.address):
        if keeper.poll() is not None:
            raise _boot_error(site, machine, "stopped while it was starting")
        if time.monotonic() > until:
            raise _boot_error(site, machine, f"was not up after {BOOT_DEADLINE} s")
        time.sleep(0.1)
    left = max(10.0, until - time.monotonic())
    try:
        run([*ssh, "systemctl is-system-running --wait"], deadline=left)
    except LabError as error:
        what = f"is not ready: {error}"
        with suppress(LabError):  # the first error tells enough
            what += "\n" + run([*ssh, "systemctl --failed --plain --no-legend"], deadline=10)
        raise _boot_error(site, machine, what) from error


def log_of(disk: Disk) -> str:
    """All that the machine wrote on its console; empty when it never ran."""
    if not disk.log.exists():
        return ""
    return disk.log.read_text(encoding="utf-8", errors="replace")


def _role_files(site: Site, machine: Machine) -> dict[str, str]:
    if machine.role is Role.APP:
        engine = {
            "insecure-registries": [f"{site.registry}:{REGISTRY_PORT}"],
            "storage-driver": "overlay2",
        }
        return {"etc/docker/daemon.json": json.dumps(engine, indent=2) + "\n"}
    if machine.role is Role.REGISTRY:
        settings = registry_settings(Path(_REGISTRY_FOLDER), f":{REGISTRY_PORT}")
        return {"etc/docker/registry/config.yml": settings}
    return {}


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(256).startswith(b"SSH-")
    except OSError:
        return False


def _boot_error(site: Site, machine: Machine, what: str) -> LabError:
    disk = site.folders.machine(machine.host)
    return LabError(
        f"{machine.host} {what}\n{last_lines(log_of(disk))}",
        hint=f"its log is {disk.log}; `nbops lab down --name {site.lab}` removes the lab",
    )
