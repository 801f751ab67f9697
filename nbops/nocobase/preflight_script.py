"""The one script that looks at a host before a run. It changes nothing and leaves nothing.

It prints a row for each thing seen: a key and its values, between tabs. Everything that may
take long has a deadline of its own, and what goes over the network is asked at once.
Secrets come in variables of the script's environment (`look_env`) that are taken out of it
in the first lines, so that no program that the script starts has them.
"""

from __future__ import annotations

from collections.abc import Iterator

from nbops.base.command import Text, quote
from nbops.nocobase.cluster import STATE_FOLDER
from nbops.nocobase.preflight_database import database_lines
from nbops.nocobase.preflight_model import DOCKER_ROOT, Needs, Port, RedisNeed, Space
from nbops.nocobase.runtimes.compose import STORAGE_INSIDE

NET_SECONDS = 5
_REGISTRY_SECONDS = 20

_HEAD = f"""\
export LC_ALL=C
tab=$(printf '\\t')
say() {{
    row=$1; shift
    for value; do row="$row$tab$value"; done
    printf '%s\\n' "$row"
}}
flat() {{ tr '\\t\\r\\n' '   '; }}
tcp() {{
    command -v bash >/dev/null 2>&1 || {{ echo unknown; return; }}
    error=$(timeout {NET_SECONDS} bash -c 'exec 3<>"/dev/tcp/$1/$2"' - "$1" "$2" 2>&1)
    case $?:$error in
        0:*) echo ok ;;
        124:*) echo timeout ;;
        *refused*) echo refused ;;
        *'not known'*|*resolution*|*'No address'*) echo name ;;
        *) printf '%s\\n' "$error" | tail -n 1 | flat ;;
    esac
}}
room() {{
    at=$2
    while [ ! -d "$at" ]; do at=$(dirname "$at"); done
    mode=rw; [ -w "$at" ] || mode=ro
    say space "$1" "$2" "$(df -Pk "$at" | awk 'NR == 2 {{ print int($4 / 1024) }}')" \\
        "$(df -Pk "$at" | awk 'NR == 2 {{ print $6 }}')" \\
        "$(df -Pi "$at" 2>/dev/null | awk 'NR == 2 {{ print $2 ":" $4 }}')" "$mode"
}}
marks() {{
    while IFS= read -r line; do
        name=${{line%%=*}}
        case " $names " in *" $name "*) ;; *) continue ;; esac
        sum=$(printf '%s\\n%s' "$salt" "$line" | sha256sum)
        say env "$1" "$name" "$(printf %.16s "$sum")"
    done
}}
aes() {{
    for file in "$1/apps/main/aes_key.dat" "$1/environment-variables/main/aes_key.dat"; do
        [ -f "$file" ] || continue
        printf 'APP_AES_SECRET_KEY=%s\\n' "$(od -An -v -tx1 <"$file" | tr -d ' \\n')" | marks "$2"
        return
    done
}}
say begin "$(date +%s.%N)"
say uid "$(id -u)"
say os "$(. /etc/os-release 2>/dev/null; echo "${{ID:-}}")" \\
    "$(. /etc/os-release 2>/dev/null; echo "${{VERSION_ID:-}}")"
say zone "$(date +%z)"
say memory "$(awk '/^MemTotal/ {{ print int($2 / 1024) }}' /proc/meminfo)"
say cores "$(nproc)"
say clock "$(timedatectl show --property NTPSynchronized --value 2>/dev/null)"
"""


def look_script(needs: Needs) -> str:
    """The script for a host."""
    return "\n".join(
        [
            _secrets(needs),
            _HEAD,
            *_lock(needs),
            *(_program(name) for name in needs.programs),
            *(_space(one) for one in needs.space),
            *(_port(one) for one in needs.ports),
            *_storage(needs),
            *_runtime(needs),
            *_network(needs),
            'say end "$(date +%s.%N)"',
            "exit 0\n",
        ]
    )


def look_env(needs: Needs) -> dict[str, Text]:
    """What the script is given beside its text."""
    env: dict[str, Text] = {"NBOPS_SALT": needs.salt}
    if needs.database:
        env["NBOPS_DB_PASSWORD"] = needs.database.password
    if needs.registry_auth:
        env["NBOPS_REGISTRY_AUTH"] = needs.registry_auth
    for number, redis in enumerate(needs.redis):
        if redis.password:
            env[f"NBOPS_REDIS_{number}"] = redis.password
    return env


def _secrets(needs: Needs) -> str:
    taken = [f"redis_{number}=${{NBOPS_REDIS_{number}:-}}" for number in range(len(needs.redis))]
    given = ["NBOPS_SALT", "NBOPS_DB_PASSWORD", "NBOPS_REGISTRY_AUTH"]
    given += [f"NBOPS_REDIS_{number}" for number in range(len(needs.redis))]
    return "\n".join(
        [
            "salt=${NBOPS_SALT:-} db_password=${NBOPS_DB_PASSWORD:-}",
            "registry_auth=${NBOPS_REGISTRY_AUTH:-}",
            *taken,
            f"unset {' '.join(given)}",
        ]
    )


def _lock(needs: Needs) -> Iterator[str]:
    record = quote(f"{STATE_FOLDER}/{needs.cluster}/lock")
    yield f"""\
if [ -e {record} ]; then
    {{ read -r number; read -r state; read -r holder; }} <{record}
    say lock "$state" "$(( $(date +%s) - $(stat -c %Y {record}) ))" "$holder"
fi"""


def _program(name: str) -> str:
    return f"command -v {quote(name)} >/dev/null 2>&1 || say missing {quote(name)}"


def _space(one: Space) -> str:
    # Where Docker keeps its images is known by Docker alone.
    if one.purpose == DOCKER_ROOT:
        return (
            "root=$(timeout 10 docker info --format '{{.DockerRootDir}}' 2>/dev/null)\n"
            f'room {DOCKER_ROOT} "${{root:-{one.path}}}"'
        )
    return f"room {quote(one.purpose)} {quote(one.path)}"


def _port(port: Port) -> str:
    published = (
        f"timeout 10 docker ps --filter publish={port.number}"
        " --format '{{.Names}} {{.Label \"nbops.cluster\"}}' 2>/dev/null | head -n 1"
        if port.container
        else ":"
    )
    return f"""\
listening=$(ss -Hltnp 'sport = :{port.number}' 2>/dev/null | head -n 1)
if [ -n "$listening" ]; then
    pid=$(printf '%s' "$listening" | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p')
    say port {port.number} \\
        "$(printf '%s' "$listening" | sed -n 's/.*users:(("\\([^"]*\\)".*/\\1/p')" "$pid" \\
        "$(sed -n 's|.*/\\([^/]*\\.service\\).*|\\1|p' "/proc/$pid/cgroup" 2>/dev/null |
            head -n 1)" \\
        "$({published})"
fi"""


def _storage(needs: Needs) -> Iterator[str]:
    if not needs.storage:
        return
    path = quote(needs.storage)
    yield f"""\
if [ -d {path} ]; then
    mode=rw; [ -w {path} ] || mode=ro
    say storage "$(stat -f -c %T {path})" \\
        "$(stat -f -c %i {path}).$(stat -c %i {path})" "$mode" \\
        "$(findmnt -n -o TARGET -T {path} 2>/dev/null | tail -n 1)"
    [ ! -e {path}/.upgrading ] || say upgrading "$(stat -c %y {path}/.upgrading | cut -c 1-16)"
    for package in {path}/plugins/*/ {path}/plugins/@*/*/; do
        [ ! -f "$package/package.json" ] || say plugin "${{package%/}}"
    done
elif [ -e {path} ]; then
    say storage file
fi"""


def _runtime(needs: Needs) -> Iterator[str]:
    if not needs.is_node:
        return
    yield f"names={quote(' '.join(needs.environment))}"
    mark = quote(f"{needs.folder}/node.env")
    yield f"[ ! -f {mark} ] || say configured {quote(needs.folder)}"
    if needs.storage:
        yield f"aes {quote(needs.storage)} storage"
    if needs.runtime == "compose":
        yield _docker()
        yield _image(needs.image)
        yield _containers(needs)
    if needs.runtime == "pm2":
        yield 'say node "$(node --version 2>/dev/null)"'
        yield _processes()
    yield f"""\
say serves "$(curl -s --max-time {NET_SECONDS} http://127.0.0.1:{needs.app_port}/api/app:getInfo |
    head -c 4000 | flat)\""""


def _docker() -> str:
    return """\
say docker "$(timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null)"
say compose "$(timeout 20 docker compose version --short 2>/dev/null)\""""


def _image(image: str) -> str:
    form = quote("{{.Id}}{{range .RepoDigests}} {{.}}{{end}}")
    url = quote(f"http://docker/distribution/{image}/json")
    return f"""\
held=$(timeout 20 docker image inspect --format {form} {quote(image)} 2>/dev/null)
if [ -n "$held" ]; then
    say image "$held"
elif [ -S /var/run/docker.sock ]; then
    answer=$(printf 'X-Registry-Auth: %s' "$registry_auth" |
        curl -s --max-time {_REGISTRY_SECONDS} --unix-socket /var/run/docker.sock \\
            -H @- -w ' %{{http_code}}' {url} | flat)
    say registry "${{answer##* }}" "${{answer% *}}"
fi"""


def _containers(needs: Needs) -> str:
    form = quote(
        '{{.Name}}\t{{index .Config.Labels "nbops.cluster"}}\t{{.State.Status}}\t{{.Config.Image}}'
    )
    mount = quote(
        f'{{{{range .Mounts}}}}{{{{if eq .Destination "{STORAGE_INSIDE}"}}}}{{{{.Source}}}}'
        "{{end}}{{end}}"
    )
    lines = quote("{{range .Config.Env}}{{println .}}{{end}}")
    found = "\n".join(
        f'        timeout 10 docker exec "$id" sh -c \'test -e "node_modules/$1/package.json"\''
        f" - {quote(package)} && say has {quote(package)} || say lacks {quote(package)}"
        for package in needs.plugins
    )
    asked = '    if [ "$(docker inspect --format \'{{.State.Status}}\' "$id")" = running ];'
    plugins = f"{asked} then\n{found}\n    fi\n" if found else ""
    return f"""\
for id in $(timeout 20 docker ps -aq 2>/dev/null); do
    vars=$(timeout 10 docker inspect --format {lines} "$id")
    printf '%s\\n' "$vars" | grep -q '^DB_DIALECT=' || continue
    say app "$(docker inspect --format {form} "$id")"
    name=$(docker inspect --format '{{{{.Name}}}}' "$id")
    printf '%s\\n' "$vars" | marks "$name"
    printf '%s\\n' "$vars" | grep -q '^APP_AES_SECRET_KEY=.' ||
        aes "$(docker inspect --format {mount} "$id")" "$name"
{plugins}done"""


def _processes() -> str:
    # The app's processes started by hand or by pm2; those in containers have process
    # numbers of their own.
    return """\
for place in /proc/[0-9]*; do
    grep -qz '^DB_DIALECT=' "$place/environ" 2>/dev/null || continue
    [ "$(readlink "$place/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] || continue
    name=$(tr '\\0' '\\n' <"$place/environ" | sed -n 's/^APP_PORT=/port-/p' | head -n 1)
    case " $told " in *" $name "*) continue ;; esac
    told="$told $name"
    unit=$(sed -n 's|.*/\\([^/]*\\.service\\).*|\\1|p' "$place/cgroup" | head -n 1)
    say app "$name" "$unit" running "$(readlink "$place/cwd")"
    tr '\\0' '\\n' <"$place/environ" | marks "$name"
done"""


def _network(needs: Needs) -> Iterator[str]:
    """What is asked over the network, all at once."""
    asked = [
        f'say reach {quote(one.name)} {quote(one.host)} {one.port} "$(tcp {quote(one.host)}'
        f' {one.port})" </dev/null &'
        for one in needs.targets
    ]
    asked += [_redis(number, one) for number, one in enumerate(needs.redis)]
    asked += database_lines(needs.database, NET_SECONDS)
    if needs.backup_tool:
        tool = quote(needs.backup_tool)
        asked.append(f'say tool {tool} "$({tool} --version 2>/dev/null | head -n 1)"')
    yield from asked
    if asked:
        yield "wait"


def _redis(number: int, need: RedisNeed) -> str:
    """Signs in, chooses each database, asks for the version: Redis' own protocol."""
    lines = [f"SELECT {one}" for one in need.numbers] + ["INFO server", "QUIT"]
    asking = "".join(f"{line}\\r\\n" for line in lines)
    user = f"{need.user} " if need.user else ""
    sign_in = ""
    if need.password:
        # As a bulk string: the password may hold blanks and quotes.
        words = 3 if need.user else 2
        named = f"${len(need.user)}\\r\\n{user.strip()}\\r\\n" if need.user else ""
        sign_in = (
            f"printf '*{words}\\r\\n$4\\r\\nAUTH\\r\\n{named}$%d\\r\\n%s\\r\\n'"
            f' "$(printf %s "$redis_{number}" | wc -c)" "$redis_{number}"; '
        )
    place = f"{quote(need.host)} {need.port}"
    if need.tls:
        talk = (
            f"timeout {NET_SECONDS} openssl s_client -quiet -verify_quiet"
            f" -connect {quote(f'{need.host}:{need.port}')} -servername {quote(need.host)}"
            " 2>/dev/null"
        )
    else:
        talk = (
            f"timeout {NET_SECONDS} bash -c"
            f" 'exec 3<>\"/dev/tcp/$1/$2\" && cat >&3 && cat <&3' - {place} 2>/dev/null"
        )
    return f"""\
(
    state=$(tcp {place} </dev/null)
    [ "$state" = ok ] || {{ say redis {number} "$state"; exit; }}
    answer=$({{ {sign_in}printf '{asking}'; }} | {talk} | head -c 4000 |
        grep -aE '^(-|redis_version:)' | flat)
    say redis {number} ok "$answer"
) &"""
