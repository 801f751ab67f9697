"""What is looked at on the machines of a cluster: one script for each, so that a look is one
connection to each machine. Each piece of it is printed under its name."""

from __future__ import annotations

_OF_EACH = {
    "left": """
ls -A ~/.nbops 2>/dev/null; ls -A /var/tmp | grep nbops; ls -A /var/lib/nbops/* | grep -v -x logs
for one in /var/backups/nocobase/*/*/*; do
    [ ! -d "$one" ] || [ -f "$one/manifest.json" ] || echo "a backup without an end: $one"
done
""",
    "lock": "sed -n 2p /var/lib/nbops/*/lock",
    "jobs": "grep -l -s -a NBOPS_JOB= /proc/[0-9]*/environ | wc -l",
    "kept releases": "ls /var/lib/nbops/*/releases | wc -l",
}
_OF_NODE = {
    "app": """
cd / && sha256sum /opt/nocobase/*
docker ps -a --format '{{.Names}} {{.Image}} {{.State}}' | sort
docker ps -q | xargs -r docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' | sort
""",
    "plugins": "cd /srv/nocobase/storage && find plugins -type f -exec sha256sum {} + | sort",
    "version": "curl -sS -m 20 http://localhost:13000/api/app:getInfo",
    "noted containers": "cat /run/chaos-events",
}
# What visitors write while it is watched is compared by itself, and who signed in not at all. Some
# rows are written anew, with other numbers and times, whenever the app starts.
_OF_DATABASE = {
    "tables": """
sql nocobase "SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2"
""",
    "notes": """
sql nocobase "SELECT * FROM notes n WHERE n::text NOT LIKE '%198.1%' ORDER BY id"
""",
    "content": """
sql nocobase "SELECT table_name, query_to_xml(format('SELECT md5(string_agg(row, chr(10)
ORDER BY row)) AS sum FROM (SELECT (to_jsonb(t) - ''createdAt''
- ''updatedAt'' - ''id'')::text AS row FROM %I t) rows', table_name), false, true, '')
FROM information_schema.tables WHERE table_schema = 'public'
AND table_name NOT IN ('notes', 'issuedTokens', 'lab_events') ORDER BY 1"
""",
    "kept databases": """sql postgres "SELECT count(*) FROM pg_database" """,
    "noted log": "cat /var/log/postgresql/postgresql-17-main.log",
}
_OF_BALANCER = {
    "version": "curl -sS -m 20 http://localhost/api/app:getInfo",
    "noted reloads": "cat /var/log/nginx/error.log",
}
_OF_REDIS = {"redis": "systemctl is-active redis-server"}
SQL = """
sql() { (cd / && runuser -u postgres -- psql -At -d "$1" -c "$2"); }
"""
_MARK = "\x1e"

# Fresh logs, and nothing kept of the runs before, which would only make each look longer; and no
# image but the one that runs, so that every upgrade and rollback has to pull.
FORGET = """
rm -rf /var/backups/nocobase/*/*-restore /srv/nocobase/storage/plugins-replaced-*
for folder in /var/lib/nbops/*/releases; do ls -d "$folder"/* | head -n -8 | xargs -r rm; done
for log in /var/log/nginx/error.log /var/log/postgresql/postgresql-17-main.log; do
    [ ! -f $log ] || : >$log
done
[ ! -f /run/chaos-events ] || : >/run/chaos-events
! systemctl is-active --quiet docker || docker image prune --all --force >/dev/null
"""
# Every note that a visitor wrote, with the database that has it.
NOTES = """
for one in $(sql postgres "SELECT datname FROM pg_database WHERE datname LIKE 'nocobase%'"); do
    sql $one "TABLE notes" | sed -n "/|198\\.1/s/^/$one|/p"
done
"""
DROP_KEPT = """
for one in $(sql postgres "SELECT datname FROM pg_database WHERE datname LIKE 'nocobase_%'"); do
    sql postgres "DROP DATABASE \\"$one\\" WITH (FORCE)" >/dev/null
done
"""


def script(host: str, only: str = "") -> str:
    """What looks at this machine; `only` at the pieces whose names begin so."""
    pieces = dict(_OF_EACH)
    for kind, more in (
        ("node", _OF_NODE),
        ("db", _OF_DATABASE),
        ("lb", _OF_BALANCER),
        ("cache", _OF_REDIS),
    ):
        if host.startswith(kind):
            pieces |= more
    chosen = {name: piece for name, piece in pieces.items() if name.startswith(only)}
    return SQL + "".join(f"printf '{_MARK}{name}\\n'\n{piece}\n" for name, piece in chosen.items())


def read(text: str) -> dict[str, str]:
    """What such a script printed, by the names of its pieces."""
    parts = (part.partition("\n") for part in text.split(_MARK)[1:])
    return {name: said for name, _, said in parts}
