"""The text of `docs/runbooks.md`: the language, from the table of keywords and the models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nbops.base.command import Effect
from nbops.runbook import describe, foreign, keywords, lookups
from nbops.runbook.filters import FILTERS, TESTS
from nbops.runbook.keywords import KEYWORDS, Where
from nbops.runbook.lint import RULES
from nbops.runbook.spec import ActionSpec, Catalog

_INTRODUCTION = """\
# Runbooks
<!-- Made from nbops/runbook by `make docs`; changes made here are lost. -->

A runbook is a list of plays in the format of Ansible. A keyword, filter, test or action that
bears an Ansible name means what it means in ansible-core 2.19, and the prefix
`ansible.builtin.` is accepted. What nbops does not have is refused by name before the first
host is contacted. Keywords marked **+** are those that nbops adds.

```yaml
- name: The app, node by node
  hosts: app
  serial: 1
  become: true
  tasks:
    - name: Write the settings
      template: {src: app.env.j2, dest: /srv/app/.env, mode: "0600"}
      notify: Restart the app
      rollback:
        - name: Put the old settings back
          command: cp -p /srv/app/.env.old /srv/app/.env
  handlers:
    - name: Restart the app
      service: {name: app, state: restarted}
```

`nbops lint` checks runbooks and tells what loads but will bite; `nbops schema runbook` prints
a JSON Schema for editors; `nbops actions NAME` tells about one action.
"""

_EXPRESSIONS = """\
## Expressions
Jinja2, in a sandbox. A text that is one `{{ expression }}` keeps the type of its value;
otherwise the pieces are joined to text. Conditions (`when`, `until`, `changed_when`,
`failed_when`, `assert: that`) are expressions without braces and must give true or false.
An undefined variable is an error that names it and its place; `x.y.z | default('…')` and
`x.y is defined` may look into what is not there. `omit` takes its argument away.

- **What came from a host is never rendered**: registered results, facts, and what `set_fact`
  made of them stay data, at any depth, even when they hold braces. A rendered value is not
  rendered again.
- **Secrets stay secret**: whatever an expression makes of a secret (joining, filters,
  `format`, `to_json`…) is a secret of the whole, shown as `********`. Comparisons and tests
  read the value and give plain true or false. In lists and mappings a secret keeps its place.
- **Shell lines**: quote what you put in, `shell: grep {{ word | quote }} file`.
- `lookup` and `query` know %(lookups)s. Files are found beside the task's file, in its
  `files/` or `templates/`, or in the runbook's folder, and nowhere outside it.
- All of jinja2's own filters and tests are there, and these of Ansible:

**Filters:** %(filters)s.

**Tests:** %(tests)s.
"""

_DIFFERENCES = """\
## Where the language differs from ansible-core
- `union`, `intersect`, `difference` and `symmetric_difference` keep the order of their lists;
  Ansible's order is that of a Python set and changes from run to run, which would make a
  resumed run see another loop.
- Tags are written out, not templates: they choose tasks before variables exist.
- A template within a text within an expression (`when: "'{{ x }}' == 'a'"`) is refused;
  Ansible renders it with a warning that it will stop to.
- Includes and variable files may not lead out of the runbook's folder.
- `copy`, `template` and `script` take files from the runbook's folder only, as includes do.
- What Ansible would find while it runs, or pass over, is an error before the run where it is
  written out: a `notify` that no handler of the play answers to, a host or group in `hosts`
  that the inventory does not have, a file that is not there, a negative `retries`, `delay` or
  `timeout`, a function, filter or test that does not exist.
- A template file that includes another finds it in the folders of the runbook only.
"""

_LINT = """\
## What `nbops lint` finds
It tells first what does not load, with exit code 2, then what loads but is likely to bite,
with exit code 1; `--json` gives the findings as one document. Without names it looks at
all in `./runbooks`, its `hooks/` and `tasks/`. A finding that is meant is silenced by a comment
on any line of its task: `# noqa: RULE`, several with commas between, or all with `# noqa`.

```yaml
    - name: Count the visit
      command: /srv/count  # noqa: always-changed
```
"""


def page(catalog: Catalog) -> str:
    """The whole reference, as Markdown, with these actions."""
    specs = sorted(catalog, key=lambda spec: spec.name)
    parts = [
        _INTRODUCTION,
        _where("Plays", Where.PLAY, "A play runs its tasks on its hosts, task by task."),
        _where("Tasks", Where.TASK, "A task is one action with its arguments, and keywords."),
        _where(
            "Handlers", Where.HANDLER, "A handler is a task that waits for a `notify`.", Where.TASK
        ),
        _where("Blocks", Where.BLOCK, "A block holds tasks that succeed or fail together."),
        _where("import_playbook", Where.IMPORT, "Stands in place of a play."),
        _named("### loop_control", keywords.LOOP_CONTROL),
        _named("### retry", keywords.RETRY),
        _files(),
        _expressions(),
        _refused(),
        _DIFFERENCES,
        _lint(),
        _actions(specs),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def action_page(spec: ActionSpec) -> str:
    """One action, as Markdown."""
    lines = [f"### {spec.name}", spec.summary, ""]
    lines += [*_traits(spec), ""]
    found = describe.arguments(spec)
    if found:
        rows = [
            (
                f"`{one.name}`" + "".join(f", `{alias}`" for alias in one.aliases),
                one.takes,
                "**required**" if one.required else f"`{one.default}`" if one.default else "",
                one.doc,
            )
            for one in found
        ]
        lines += [*_table(("argument", "takes", "default", ""), rows), ""]
    elif spec.args.model_config.get("extra") != "allow":
        lines += ["Takes no arguments.", ""]
    if spec.returns:
        lines += [*_table(("returns", ""), [(f"`{k}`", v) for k, v in spec.returns.items()]), ""]
    lines += ["```yaml", spec.example.strip("\n"), "```"]
    return "\n".join(lines) + "\n"


def _traits(spec: ActionSpec) -> list[str]:
    traits = []
    if spec.free_form:
        traits.append(f"A plain text stands for `{spec.free_form}`.")
    if spec.flow:
        traits.append("Steers the run.")
    elif spec.local:
        traits.append("Contacts no host.")
    elif spec.effect is Effect.NONE:
        traits.append("Changes nothing.")
    if spec.once:
        traits.append("Runs once for all hosts.")
    if spec.check != "full" and spec.effect is not Effect.NONE:
        traits.append(f"In check mode: {spec.check}.")
    return [" ".join(traits)] if traits else []


def _where(title: str, where: Where, text: str, same: Where | None = None) -> str:
    known = set(keywords.names(same)) if same else set()
    found = [KEYWORDS[name] for name in keywords.names(where) if name not in known]
    rows = [
        (f"`{one.name}`{' **+**' if one.ours else ''}", one.kind.value, one.doc) for one in found
    ]
    more = f" It has all keywords of a {same.value}, and:" if same else ""
    return "\n".join([f"## {title}", text + more, "", *_table(("keyword", "takes", ""), rows)])


def _named(title: str, names: Mapping[str, str]) -> str:
    return "\n".join([title, *_table(("key", ""), [(f"`{k}`", v) for k, v in names.items()])])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = (cell.replace("|", "\\|").replace("\n", " ") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _files() -> str:
    return """\
## Files
`import_playbook` and `import_tasks` put another file's plays or tasks in their place before
the run; the keywords on the import hold for all that it brings. `include_tasks` does so while
the run goes, and its name may be a template; its keywords decide whether and how often it is
included, those of the tasks stand in the file. Names are relative to the file that they stand
in, or to the runbook's folder. `group_vars/` and `host_vars/` beside the runbook count after
those beside the inventory.

What is written out is looked at before the first host is contacted: files that are imported
or included, `vars_files`, the `src` of `copy` and `template` and the script of `script`, and
what stands in those templates. A file that the run itself may make is not missed then: when a
task is delegated to `localhost` or fetches files, or when the task is in a block with
`rescue`, or has `ignore_errors` or `failed_when`.

### The user's own folder
In `runbooks/` beside the inventory:

| file | what it does |
|---|---|
| `NAME.yml` | is run by `nbops run NAME`; replaces the runbook of that name that comes with nbops |
| a file that ours imports or includes (`verify.yml`) | replaces that part of ours |
| `hooks/before-NAME.yml`, `hooks/after-NAME.yml` | played before and after `NAME`, in its run |

A hook is an ordinary runbook: plays with `hosts` and `tasks`. Its files stand beside it, in
`hooks/files/`, `hooks/templates/`, or (what it imports and includes) in `runbooks/`. When a
hook fails, the run fails: with `any_errors_fatal: true` and `max_fail_percentage: 0` one host is
enough, and what comes after `before-…` is not begun. Hooks belong to runbooks that are called by
name, not to those given as a file elsewhere. A hook whose name fits no runbook is an error.
"""


def _expressions() -> str:
    def listed(names: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in sorted(names))

    return _EXPRESSIONS % {
        "lookups": listed(lookups.LOOKUPS),
        "filters": listed(FILTERS),
        "tests": listed(TESTS),
    }


def _refused() -> str:
    rows = [(f"`{name}`", instead) for name, instead in sorted(keywords.REFUSED.items())]
    modules = [(f"`{name}`", instead) for name, instead in sorted(foreign.MODULES.items())]
    words = [(f"`{n}`", instead) for n, instead in {**foreign.FILTERS, **foreign.TESTS}.items()]
    return "\n".join(
        [
            "## Refused by name",
            "These keywords of Ansible are not there; the message says what to do instead.",
            "",
            *_table(("keyword", "instead"), rows),
            "",
            "So are these modules, and those of collections:",
            "",
            *_table(("module", "instead"), modules),
            "",
            "And these filters and tests:",
            "",
            *_table(("filter or test", "instead"), words),
        ]
    )


def _lint() -> str:
    rows = [(f"`{rule}`", text) for rule, text in RULES.items()]
    return "\n".join([_LINT, *_table(("rule", "means"), rows)])


def _actions(specs: Sequence[ActionSpec]) -> str:
    links = ", ".join(f"[{spec.name}](#{spec.name})" for spec in specs)
    return "\n".join(["## Actions", links + ".", "", *(action_page(spec) for spec in specs)])
