"""Docker Compose: a folder with a compose file and the environments, one container.

The compose file never lets a container start by itself (`restart: "no"`); the policy is
switched on when the node has been seen healthy, and off before it is stopped. The image is
pulled by nbops alone, so that a start can never bring another one (`pull_policy: never`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from nbops.base.command import quote
from nbops.nocobase.files import Wanted
from nbops.nocobase.runtimes.api import (
    PM2_PATIENCE,
    STOP_SECONDS,
    ImageState,
    NodePlan,
    NodeState,
    Pull,
    Start,
    fingerprint,
)

STORAGE_INSIDE = "/app/nocobase/storage"
_HEAD = "# Written by nbops; what is changed here by hand is put back by the next deploy.\n"
_STATE = "\t".join(
    (
        "{{.State.Status}}",
        "{{.State.ExitCode}}",
        "{{.RestartCount}}",
        '{{index .Config.Labels "nbops.start"}}',
        '{{index .Config.Labels "nbops.configuration"}}',
        "{{.Image}}",
        "{{.State.StartedAt}}",
        "{{.HostConfig.RestartPolicy.Name}}",
        "{{.State.OOMKilled}}",
        "{{.State.Error}}",
    )
)


class Compose:
    """The runtime `compose`."""

    kind = "compose"
    folder_mode = 0o700

    def files(self, plan: NodePlan) -> Sequence[Wanted]:
        """Both environments and the compose file, readable by root only."""
        return (
            Wanted(f"{plan.folder}/node.env", plan.environment, 0o600),
            Wanted(f"{plan.folder}/first.env", plan.first_environment, 0o600),
            Wanted(f"{plan.folder}/compose.yml", compose_file(plan), 0o600),
        )

    def written(self, _plan: NodePlan) -> Sequence[str]:
        """None."""
        return ()

    def configuration(self, plan: NodePlan) -> str:
        """The fingerprint of all that a start depends on."""
        return _configuration(plan)

    def image_script(self, plan: NodePlan) -> str:
        """Prints id and digests, or nothing when the image is not there."""
        image = plan.image
        form = quote("{{.Id}}{{range .RepoDigests}} {{.}}{{end}}")
        return f"""\
id=$(docker image ls --quiet {quote(image)}) || exit 1
[ -z "$id" ] || docker image inspect --format {form} {quote(image)}
"""

    def read_image(self, output: str) -> ImageState:
        """The answer of `image_script`."""
        words = output.split()
        return ImageState(words[0], tuple(words[1:])) if words else ImageState()

    def pull_script(self, plan: NodePlan, pull: Pull) -> str:
        """Pulls by the tag, or by the digest, which is then given the tag."""
        image = plan.image
        login = _login(image, pull) if pull.user else ""
        if not pull.digest:
            return f"{login}docker pull {quote(image)}\n"
        exact = quote(f"{repository(image)}@{pull.digest}")
        return f"{login}docker pull {exact} && docker tag {exact} {quote(image)}\n"

    def state_script(self, plan: NodePlan) -> str:
        """Prints one line of fields, or nothing when there is no container. Only where it cannot
        be seen at once it is asked whether it is there: the question costs as much again."""
        only = quote(f"name=^/{plan.name.replace('.', '[.]')}$")
        return f"""\
docker container inspect --format {quote(_STATE)} {quote(plan.name)} 2>/dev/null && exit
id=$(docker container ls -aq --no-trunc --filter {only}) || exit 1
[ -z "$id" ] || docker container inspect --format {quote(_STATE)} "$id"
"""

    def read_state(self, output: str) -> NodeState:
        """The answer of `state_script`."""
        if not output.strip():
            return NodeState()
        status, code, restarts, start, configuration, image, since, policy, oom, error = (
            output.rstrip("\n").split("\t")
        )
        return NodeState(
            there=True,
            running=status == "running",
            exit_code=int(code),
            restarts=int(restarts),
            start=Start.FIRST if start == Start.FIRST else Start.NODE,
            configuration=configuration,
            image=image,
            since=since,
            comes_back=policy not in {"", "no"},
            trouble=error or ("out of memory" if oom == "true" else ""),
        )

    def start_script(self, plan: NodePlan, start: Start) -> str:
        """Makes the container anew, so that no older one's policy or environment stays."""
        return (
            f"cd {quote(plan.folder)} && NBOPS_START={start.value}"
            " docker compose up --detach --no-build --force-recreate --remove-orphans\n"
        )

    def stop_script(self, plan: NodePlan, grace: int) -> str:
        """The policy first: a container that is killed must not come back."""
        name = quote(plan.name)
        return (
            f"docker update --restart no {name} >/dev/null && docker stop --time {grace} {name}\n"
        )

    def come_back_script(self, plan: NodePlan, on: bool) -> str:
        """Sets the restart policy of the container that is there."""
        policy = "unless-stopped" if on else "no"
        return f"docker update --restart {policy} {quote(plan.name)}\n"

    def log_script(
        self, plan: NodePlan, lines: int, since: str = "", *, follow: bool = False
    ) -> str:
        """The container's output, both streams as one."""
        tail = f" --tail {lines}" if lines else ""
        after = f" --since {quote(since)}" if since else ""
        on = " --follow" if follow else ""
        return f"docker logs{tail}{after}{on} {quote(plan.name)} 2>&1\n"

    def instances_script(self, plan: NodePlan) -> str:
        """The containers that bear the cluster's label."""
        label = quote(f"label=nbops.cluster={plan.cluster}")
        return f"""\
command -v docker >/dev/null 2>&1 || exit 0
docker container ls --all --filter {label} --format {quote("{{.Names}}")}
"""

    def remove_script(self, name: str, grace: int) -> str:
        """The policy first, as for a stop; then the container goes, and its network."""
        exact = quote(f"name=^/{name.replace('.', '[.]')}$")
        stem, _, number = name.removeprefix("nocobase-").partition(".")
        network = quote(f"{project(stem, int(number or 1))}_default")
        # The network stays where somebody else's container is in it.
        return f"""\
id=$(docker container ls -aq --no-trunc --filter {exact}) || exit 1
[ -z "$id" ] || {{
    docker update --restart no "$id" >/dev/null && docker stop --time {grace} "$id" &&
        docker rm "$id" || exit 1
}}
docker network rm {network} >/dev/null 2>&1 || :
"""


def compose_file(plan: NodePlan) -> str:
    """The compose file of a node. `$` is doubled: Compose would take it for a variable."""
    service = _service(plan) | {
        "env_file": ["${NBOPS_START:-node}.env"],
        "labels": {
            "nbops.cluster": plan.cluster,
            "nbops.start": "${NBOPS_START:-node}",
            "nbops.configuration": _configuration(plan),
        },
    }
    name = project(plan.cluster, plan.instance)
    document = {"name": name, "services": {"app": service}}
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def project(cluster: str, instance: int) -> str:
    """What Compose calls one app of a cluster on a host."""
    number = "" if instance == 1 else str(instance)
    return f"nocobase{number}-{cluster.lower()}"


def _configuration(plan: NodePlan) -> str:
    body = yaml.safe_dump(_service(plan), sort_keys=True)
    return fingerprint(plan, (body, plan.environment, plan.first_environment))


def _service(plan: NodePlan) -> dict[str, object]:
    return {
        "image": _plain(plan.image),
        "container_name": plan.name,
        "hostname": re.sub("[^A-Za-z0-9-]", "-", plan.host)[:63],
        "pull_policy": "never",
        "restart": "no",
        "environment": PM2_PATIENCE,
        "stop_grace_period": f"{STOP_SECONDS}s",
        "ports": [f"{plan.port}:{plan.port}"],
        "volumes": [
            {"type": "bind", "source": _plain(plan.storage), "target": STORAGE_INSIDE},
        ],
        "logging": {"driver": "json-file", "options": {"max-size": "50m", "max-file": "5"}},
    }


def repository(image: str) -> str:
    """An image's name without its tag; a colon before the last slash is a registry's port."""
    head, slash, last = image.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def registry(image: str) -> str:
    """The registry that an image's name begins with; empty for Docker's own."""
    first, slash, _ = image.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return first if named else ""


def _login(image: str, pull: Pull) -> str:
    # Docker keeps what it logs in with in a file; here in one that goes with the script, or
    # with the run when the script is killed. dash runs no EXIT trap at a signal.
    there = quote(registry(image))
    return f"""\
DOCKER_CONFIG={quote(pull.aside)} && export DOCKER_CONFIG
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
trap 'exit 1' HUP INT TERM
rm -rf "$DOCKER_CONFIG" && mkdir -m 700 "$DOCKER_CONFIG" || exit 1
docker login --username {quote(pull.user)} --password-stdin {there} >/dev/null || exit 1
"""


def _plain(text: str) -> str:
    return text.replace("$", "$$")
