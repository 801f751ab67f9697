"""What a deploy leaves on machines, for tests of the way back from it: a script for each machine,
whose answers are compared."""

from __future__ import annotations

import difflib

# All but the logs and the free lock, and what was pulled.
TRACES = """
for folder in /etc/postgresql /etc/mysql /etc/redis /etc/nginx /etc/haproxy /opt /srv; do
    [ -d $folder ] || continue
    find $folder -not -path /opt/nocobase -not -path '/opt/nocobase/apps*' \
        -printf '%m %u:%g %y %p %l\n' | sort -k 4
    find $folder -type f -not -path '/opt/nocobase/apps*' -exec sha256sum {} + | sort -k 2
done
[ -d /opt/nocobase/apps ] || ls -d /opt/nocobase 2>/dev/null
for one in postgresql postgresql@17-main mariadb redis-server nginx docker; do
    ! systemctl cat $one >/dev/null 2>&1 ||
        echo "$one $(systemctl is-active $one) $(systemctl is-enabled $one)"
done
ls /etc/systemd/system | grep nocobase
if systemctl is-active --quiet docker; then
    docker ps --all --format '{{.Names}} {{.State}}'
    docker network ls --format '{{.Name}}'
fi
ls -A ~/.nbops 2>/dev/null
for folder in /var/lib/nbops/*; do
    [ ! -d "$folder" ] || ls -A "$folder" | grep -v -x -e logs -e lock -e guard
    [ ! -f "$folder/lock" ] || sed -n 2p "$folder/lock" | grep -v -x free
done
grep -l -s -a NBOPS_JOB= /proc/[0-9]*/environ
true
"""
# What stands in the database's server, which runs from then on.
DATABASES = """
if [ -d /etc/postgresql ]; then
    systemctl start postgresql
    cd / && runuser -u postgres -- psql -At -c 'SELECT datname FROM pg_database ORDER BY 1' \
        -c 'SELECT rolname FROM pg_roles ORDER BY 1'
elif [ -d /etc/mysql/mariadb.conf.d ]; then
    systemctl start mariadb
    mariadb --batch --skip-column-names -e 'SHOW DATABASES; SELECT User, Host FROM mysql.user'
fi
"""


def differ(now: dict[str, str], then: dict[str, str]) -> str:
    """The lines that are not as they were then, with the machine's name; empty when all are."""
    lines = (
        f" {host} {line};"
        for host in then
        for line in difflib.ndiff(then[host].splitlines(), now[host].splitlines())
        if line[0] in "+-"
    )
    return "".join(lines)
