"""What the machines' base tree is made of. Pure: the text of what is run, and its hash.

One tree serves every kind of machine. All services are in it and none is enabled but
sshd: which machine runs what is decided later, by the lab (Docker, the registry) or by
the runbooks (everything else).
"""

from __future__ import annotations

import hashlib

SUITE = "trixie"

SYSTEM_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "iproute2",
    "iptables",
    "iputils-ping",
    "procps",
    "ca-certificates",
    "curl",
    "rsync",
    "less",
)

SERVICE_PACKAGES = (
    "docker.io",
    "docker-cli",
    "docker-compose",
    "docker-registry",
    "postgresql",
    "redis-server",
    "redis-tools",
    "mariadb-server",
    "nginx",
    "haproxy",
    "nodejs",
)

# Installed, but left to whoever wants them on a machine.
QUIET_UNITS = (
    "docker.service",
    "docker.socket",
    "containerd.service",
    "docker-registry.service",
    "postgresql.service",
    "redis-server.service",
    "mariadb.service",
    "nginx.service",
    "haproxy.service",
    "rsync.service",
    "sshd-keygen.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
)

# Of no use in a machine that shares the box's kernel, or failing there.
MASKED_UNITS = (
    "console-getty.service",
    "dev-hugepages.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-modules-load.service",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
)

_PREPARE = """\
cat > "$ROOT/usr/sbin/policy-rc.d" <<'END'
#!/bin/sh
exit 101
END
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
cat > "$ROOT/etc/dpkg/dpkg.cfg.d/nbops-build" <<'END'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
END
printf '%s\\n' 'Acquire::Languages "none";' 'APT::Install-Recommends "false";' \\
    > "$ROOT/etc/apt/apt.conf.d/90nbops"
cp "$APT_CONF" "$ROOT/etc/apt/apt.conf.d/99nbops-build"
if [ -e "$CA_BUNDLE" ]; then cp "$CA_BUNDLE" "$ROOT/nbops-build-ca.crt"; fi
cp /etc/resolv.conf /etc/hosts "$ROOT/etc/"
mount -t proc proc "$ROOT/proc"
mount -t sysfs sysfs "$ROOT/sys"
mkdir -p "$ROOT/dev/shm"
mount -t tmpfs tmpfs "$ROOT/dev/shm"
"""

# The cluster that Debian makes must be on the usual port even when that port is taken on
# the box; and in UTF-8, hence the locale while it is installed.
_FINISH = """\
sed -i 's/^port = .*/port = 5432/' "$ROOT"/etc/postgresql/*/main/postgresql.conf
umount "$ROOT/dev/shm" "$ROOT/sys" "$ROOT/proc"
rm -f "$ROOT/usr/sbin/policy-rc.d" "$ROOT/etc/dpkg/dpkg.cfg.d/nbops-build" \\
    "$ROOT/etc/apt/apt.conf.d/99nbops-build" "$ROOT/nbops-build-ca.crt" \\
    "$ROOT/etc/hostname" "$ROOT/etc/resolv.conf" "$ROOT"/etc/ssh/ssh_host_*
rm -rf "$ROOT"/var/lib/apt/lists/* "$ROOT"/var/cache/apt/*.bin "$ROOT"/var/log/journal
: > "$ROOT/etc/machine-id"
rm -f "$ROOT/var/lib/dbus/machine-id"
passwd --root "$ROOT" --lock root >&2
mkdir -p "$ROOT/root/.ssh" "$ROOT/srv/nocobase/storage"
chmod 700 "$ROOT/root/.ssh"
touch "$ROOT/etc/.updated" "$ROOT/var/.updated"
"""

FILES = {
    # Containers start only when the controllers can be written; the container manager
    # mounts those of the old hierarchy read-only. On the unified hierarchy there is
    # nothing to do.
    "/usr/local/lib/nbops/open-cgroups": (
        0o755,
        """\
#!/bin/sh
while read -r _ folder kind _; do
    [ "$kind" = cgroup ] && mount -o remount,bind,rw "$folder"
done < /proc/self/mounts
exit 0
""",
    ),
    "/etc/systemd/system/nbops-open-cgroups.service": (
        0o644,
        """\
[Unit]
Description=Make the cgroup controllers writable for containers
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/nbops/open-cgroups

[Install]
WantedBy=sysinit.target
""",
    ),
    # All that happens in a machine is then in its log on the box, readable when it is gone.
    "/etc/systemd/journald.conf.d/nbops.conf": (
        0o644,
        "[Journal]\nForwardToConsole=yes\nMaxLevelConsole=info\nStorage=persistent\n",
    ),
    "/etc/ssh/sshd_config.d/nbops.conf": (
        0o644,
        "HostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication no\nUseDNS no\n"
        "MaxStartups 200\nMaxSessions 100\n",
    ),
}

ENABLED_UNITS = (
    "nbops-open-cgroups.service",
    "ssh.service",
    "systemd-networkd.service",
)


def build_script() -> str:
    """The shell script that fills `$ROOT` from `$MIRROR`.

    It also wants `$APT_CONF` (a file: the box's own settings for reaching the mirror) and
    `$CA_BUNDLE` (a path that may not exist); none of these stays in the tree.
    """
    in_root = 'env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$ROOT"'
    return "\n".join(
        [
            "set -eu",
            f"debootstrap --variant=minbase --include={','.join(SYSTEM_PACKAGES)}"
            f' {SUITE} "$ROOT" "$MIRROR"',
            _PREPARE,
            f"{in_root} apt-get update",
            f"{in_root} apt-get install -y --no-install-recommends {' '.join(SERVICE_PACKAGES)}",
            f"{in_root} apt-get clean",
            *(_file_script(path, mode, text) for path, (mode, text) in FILES.items()),
            f"{in_root} systemctl disable {' '.join(QUIET_UNITS)}",
            f"{in_root} systemctl mask {' '.join(MASKED_UNITS)}",
            f"{in_root} systemctl enable {' '.join(ENABLED_UNITS)}",
            _FINISH,
        ]
    )


def fingerprint() -> str:
    """Twelve hex digits that change with anything the base tree is made of."""
    return hashlib.sha256(build_script().encode()).hexdigest()[:12]


def _file_script(path: str, mode: int, text: str) -> str:
    return (
        f'mkdir -p "$(dirname "$ROOT{path}")"\n'
        f"cat > \"$ROOT{path}\" <<'NBOPS_END'\n{text}NBOPS_END\n"
        f'chmod {mode:o} "$ROOT{path}"'
    )
