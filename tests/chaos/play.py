"""A runbook with everything that the language has, on two hosts that are this computer.

Each step makes a folder, which fails when it is there: what is done twice is seen at once, and
what it means to be undone as well. The log keeps every effect, also those that were undone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HOSTS = ("a", "b")
_DEADLINE = 120

PLAY = """
- hosts: all
  gather_facts: false
  any_errors_fatal: true
  vars:
    here: "ROOT/{{ inventory_hostname }}"
  handlers:
    - name: tell
      shell: mkdir {{ here }}/told && echo told {{ inventory_hostname }} >> ROOT/log
      rollback:
        - file: {path: "{{ here }}/told", state: absent}
  tasks:
    - name: folder
      file: {path: "{{ here }}", state: directory}
      rollback:
        - file: {path: "{{ here }}", state: absent}
    - name: several
      shell: mkdir {{ here }}/{{ item }} && echo {{ item }} {{ inventory_hostname }} >> ROOT/log
      loop: [one, two, three]
      register: several
      rollback:
        - shell: rm -rf {{ here }}/{{ item }}
          loop: [one, two, three]
    - name: what no journal keeps
      set_fact: {hidden: "{{ inventory_hostname }}"}
      no_log: true
    - name: slow
      shell: |
        mkdir {{ here }}/slow && echo slow {{ inventory_hostname }} >> ROOT/log
        sleep 0.2
        mkdir {{ here }}/slower && echo slower {{ inventory_hostname }} {{ hidden }} >> ROOT/log
      rollback:
        - shell: rm -rf {{ here }}/slow {{ here }}/slower
    - name: settings
      copy: {content: "{{ several.results | length }} of {{ hidden }}", dest: "{{ here }}/settings"}
      notify: tell
      rollback:
        - file: {path: "{{ here }}/settings", state: absent}
    - name: line
      lineinfile: {path: "{{ here }}/settings", line: more}
      notify: tell
    - name: counted
      shell: |
        echo try {{ inventory_hostname }} >> ROOT/log
        echo x >> {{ here }}/tries && test $(wc -l <{{ here }}/tries) -ge 3
      register: counted
      until: counted.rc == 0
      retries: 5
      delay: 0
      rollback:
        - file: {path: "{{ here }}/tries", state: absent}
    - meta: flush_handlers
    - name: one for all
      shell: mkdir {{ here }}/shared && echo shared {{ inventory_hostname }} >> ROOT/log
      run_once: true
      delegate_to: b
      register: shared
      rollback:
        - shell: rm -rf {{ here }}/shared
    - block:
        - name: fails on one
          shell: |
            mkdir {{ here }}/tried && echo tried {{ inventory_hostname }} >> ROOT/log
            test {{ inventory_hostname }} = a
          any_errors_fatal: false
        - name: where it went well
          shell: mkdir {{ here }}/well && echo well {{ inventory_hostname }} >> ROOT/log
      rescue:
        - name: rescued
          shell: mkdir {{ here }}/rescued && echo rescued {{ inventory_hostname }} >> ROOT/log
      always:
        - name: in any case
          shell: mkdir {{ here }}/always && echo always {{ inventory_hostname }} >> ROOT/log
      rollback:
        - shell: rm -rf {{ here }}/tried {{ here }}/well {{ here }}/rescued {{ here }}/always
    - include_tasks: more.yml
      loop: [left, right]
      loop_control: {loop_var: side}

- hosts: b
  gather_facts: false
  tasks:
    - name: in another play
      template: {src: end.j2, dest: "ROOT/b/end"}
      rollback:
        - file: {path: ROOT/b/end, state: absent}
"""

MORE = """
- name: a side
  shell: |
    mkdir {{ here }}/{{ side }} && echo {{ side }} {{ inventory_hostname }} >> ROOT/log
  rollback:
    - shell: rm -rf {{ here }}/{{ side }}
"""


@dataclass
class Desk:
    """A computer with nbops and such a runbook. `root` is what the runbook changes."""

    folder: Path

    @property
    def root(self) -> Path:
        """The folder that the runbook changes."""
        return self.folder / "root"

    def nbops(
        self,
        *arguments: str,
        at: str = "",
        points: Path | None = None,
        killed: Path = Path(os.devnull),
    ) -> tuple[int, str]:
        """Run a command to its end, or to a point; gives exit code and output."""
        repository = Path(__file__).parents[2]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(repository),
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "CHAOS_AT": at,
            "CHAOS_KILLED": str(killed),
        }
        if points is not None:
            environment["CHAOS_LOG"] = str(points)
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.run", *arguments, "--plain"],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEADLINE,
            check=False,
        )
        return done.returncode, done.stdout

    def begin(
        self, at: str = "", points: Path | None = None, killed: Path = Path(os.devnull)
    ) -> tuple[int, str]:
        """The run itself, killed at a point."""
        return self.nbops("run", "play.yml", at=at, points=points, killed=killed)

    def log(self) -> Counter[str]:
        """Every effect, also what was undone."""
        path = self.root / "log"
        return Counter(path.read_text().splitlines() if path.exists() else [])

    def state(self) -> dict[str, str]:
        """What there is, but for the log."""
        return {
            str(path.relative_to(self.root)): path.read_text() if path.is_file() else ""
            for path in sorted(self.root.rglob("*"))
            if path.name != "log"
        }


def desk(folder: Path) -> Desk:
    """A new one."""
    made = Desk(folder)
    made.root.mkdir(parents=True)
    for name, text in (("play.yml", PLAY), ("more.yml", MORE)):
        (folder / name).write_text(text.replace("ROOT", str(made.root)))
    (folder / "end.j2").write_text("{{ inventory_hostname }} had {{ several.results | length }}\n")
    (folder / "inventory.yml").write_text(
        "all: {hosts: {a: , b: }, vars: {ansible_connection: local}}\n"
    )
    return made


def killed(code: int) -> bool:
    """Whether a process ended by SIGKILL."""
    return code == -signal.SIGKILL
