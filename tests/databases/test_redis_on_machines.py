"""Redis, stopped, started and cleared, with the real server."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml

from tests.deploy.cluster import Cluster

pytestmark = pytest.mark.lab
PASSWORD = "a 'pass' \"word\" @:/"


def test_redis_keeps_its_queue_over_a_stop_and_loses_only_cache_and_locks(
    machines: Cluster,
) -> None:
    secret = machines.inventory.parent / "secrets" / "redis"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    data = yaml.safe_load(machines.inventory.read_text())
    nocobase = data["all"]["vars"]["nocobase"]
    nocobase["redis"] |= {"password": {"file": "secrets/redis"}, "queue": 20}
    nocobase["ssh"] = {"config": "ssh_config"}
    machines.inventory.with_name("ssh_config").touch()
    inventory = machines.inventory.with_name("redis.yml")
    inventory.write_text(yaml.safe_dump(data))

    def run(hosts: str, *actions: str) -> list[str]:
        tasks = [{"name": action, action: None} for action in actions]
        play = {"hosts": hosts, "gather_facts": False, "become": True, "tasks": tasks}
        machines.home.mkdir(exist_ok=True)
        path = machines.home / "redis.yml"
        path.write_text(yaml.safe_dump([play]))
        done = machines.nbops("run", str(path), "-i", str(inventory), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        events = map(json.loads, done.stdout.splitlines())
        return [event["status"] for event in events if event["kind"] == "step_ended"]

    def says(number: int, command: str) -> str:
        line = f"REDISCLI_AUTH={shlex.quote(PASSWORD)} redis-cli -n {number} {command}"
        return machines.on("cache", line).strip()

    run("redis", "redis_server")
    for number in (0, 2, 20):
        says(number, "SET key value")
    assert run("redis", "redis_stop", "redis_stop", "redis_start", "redis_start") == [
        "changed",
        "ok",
        "changed",
        "ok",
    ]
    assert says(20, "GET key") == "value"
    assert run("app", "redis_clear", "redis_clear") == ["changed", "ok"]
    assert [says(number, "DBSIZE") for number in (0, 2, 20)] == ["0", "0", "1"]
