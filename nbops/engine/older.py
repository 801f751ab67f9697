"""Jobs that an earlier run left at work on a host: ended before another run touches it."""

from __future__ import annotations

from nbops.base.command import quote

GRACE = 2  # seconds between TERM and KILL
PATIENCE = 20  # seconds until it is given up


def end_script(run: str) -> str:
    """Ends every process of the run's jobs, and those that left their group, and prints how
    many there were. To be run as root, when the host refuses the run's further jobs already.

    Fails, with their numbers, when some cannot be ended. What it looks for stands on no command
    line of its own: a machine with two names in the inventory runs it twice at once.
    """
    return f"""\
marks=$(for one in $(
  printf '%s\\n' {quote(f"/run-{run}/runner")} | grep -l -s -a -F -f - /proc/[0-9]*/cmdline
); do
  tr '\\0' '\\n' <"${{one%cmdline}}environ" | sed -n 's/^NBOPS_JOB=//p'
done 2>/dev/null | grep -v -x -F "${{NBOPS_JOB:-none}}" | sort -u)
alive() {{
  for mark in $marks; do grep -l -s -F "NBOPS_JOB=$mark" /proc/[0-9]*/environ; done |
    sed 's,^/proc/\\([0-9]*\\)/.*,\\1,' | sort -un
}}
number=0
for one in $marks; do number=$((number + 1)); done
echo "$number"
tries=0
while left=$(alive); [ -n "$left" ]; do
  [ "$tries" -lt {PATIENCE * 5} ] || {{ echo $left >&2; exit 1; }}
  how=TERM
  [ "$tries" -lt {GRACE * 5} ] || how=KILL
  [ "$tries" -gt 0 ] && [ "$how" = TERM ] || kill -$how $left 2>/dev/null
  tries=$((tries + 1))
  sleep 0.2
done
"""
