"""What a session costs: N loopback hosts, M commands each, a barrier after every one.

    python benchmarks/transport.py --hosts 10 50 200 --steps 10

Prints, for probes and for jobs, the wall time and this process's CPU time: for connecting,
for the steps, and for one step on one host. The same measure as in the table of the peers:
`echo ok`, output and status checked.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nbops.base.command import Command, Effect
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.transport.endpoint import Endpoint
from nbops.transport.pool import Pool
from tests.proxy import Proxy
from tests.sshd import SshServer, loopback

Work = Callable[[], None]


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, nargs="+", default=[3, 10, 50])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--forks", type=int, default=32)
    parser.add_argument("--delay", type=float, default=0.01, help="s, one way, for the last line")
    options = parser.parse_args()
    _say(f"{'what':<16}{'hosts':>6}{'wall s':>9}{'CPU s':>9}{'CPU ms a step':>15}{'MB':>6}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        endpoints = _start(stack, folder, max(options.hosts))
        for count in options.hosts:
            _measure(endpoints[:count], options.steps, options.forks)
        _one_far_host(stack, folder, endpoints[0], options.delay, options.steps)


def _start(stack: ExitStack, folder: Path, count: int) -> list[Endpoint]:
    server = stack.enter_context(SshServer(folder / "sshd", addresses=loopback(count)))
    return [server.endpoint(number, name=f"h{number}") for number in range(count)]


def _measure(endpoints: Sequence[Endpoint], steps: int, forks: int) -> None:
    pool = Pool(new_run_id(), stop=Stop(), emit=lambda _event: None)
    count = len(endpoints)
    with ThreadPoolExecutor(forks) as workers:

        def connect() -> None:
            errors = pool.connect_all(endpoints, forks)
            if errors:
                raise errors[0]

        def step(number: int, effect: Effect) -> None:
            def one(endpoint: Endpoint) -> bool:
                command = Command("echo ok", effect=effect, step=f"{number}/{endpoint.name}")
                outcome = pool.session(endpoint).run(command)
                return outcome.ok and outcome.stdout == b"ok\n"

            if not all(workers.map(one, endpoints)):
                raise RuntimeError("a command did not give what it should")

        _line("connect", count, 0, connect)
        for effect in (Effect.NONE, Effect.JOB):
            name = "probe" if effect is Effect.NONE else "job"
            work = [lambda n=n, e=effect: step(n, e) for n in range(steps)]  # type: ignore[misc]
            _line(name, count, count * steps, lambda work=work: _each(work))  # type: ignore[misc]
    pool.close(sweep=True)


def _one_far_host(
    stack: ExitStack, folder: Path, endpoint: Endpoint, delay: float, steps: int
) -> None:
    """One host over a proxy that delays: how many round trips a step takes."""
    proxy = stack.enter_context(Proxy((endpoint.address, endpoint.port or 22), delay=delay))
    known = folder / "known"
    line = endpoint.known_hosts[0].read_text().splitlines()[0].split(maxsplit=1)[1]
    known.write_text(f"[{proxy.address}]:{proxy.port} {line}\n")
    far = Endpoint(
        "far", proxy.address, proxy.port, endpoint.user, endpoint.key_files,
        known_hosts=(known,), ssh_config=endpoint.ssh_config,
    )  # fmt: skip
    pool = Pool(new_run_id(), stop=Stop(), emit=lambda _event: None)
    session = pool.session(far)
    begun = time.perf_counter()
    session.check()
    said = f"\nround trip {delay * 2000:.0f} ms: connect {_ms(begun):.0f} ms"
    for effect in (Effect.NONE, Effect.JOB):
        times = []
        for number in range(steps):
            begun = time.perf_counter()
            session.run(Command("echo ok", effect=effect, step=f"far/{number}"))
            times.append(_ms(begun))
        said += f", {effect} {sorted(times)[len(times) // 2]:.1f} ms"
    _say(said)
    pool.close(sweep=True)


def _each(work: Sequence[Work]) -> None:
    for one in work:
        one()


def _line(name: str, hosts: int, steps: int, work: Work) -> None:
    begun, used = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    each = f"{cpu / steps * 1000:.2f}" if steps else ""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    _say(f"{name:<16}{hosts:>6}{wall:>9.2f}{cpu:>9.2f}{each:>15}{size:>6}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _ms(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main()
