"""Completion in shells: the verb `completion`, and what ids, subjects and lanes complete to.

Promises: completing reads and never writes, prints nothing but values, and gives nothing where the
caller may not read. Leaves out: how a shell asks (`completion/`), which words are verbs and options
(typer).
"""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Any, get_args

import typer

from provisioner.cli import site
from provisioner.contract import Fault

if TYPE_CHECKING:
    from provisioner.journal.journal import Connection

ASKED = "_PROVISIONER_COMPLETE"
"""The variable by which a shell asks for completion."""

_WORDS = "_TYPER_COMPLETE_ARGS"
"""The variable with the line so far."""

_MOST = 100
"""The most values that a word completes to."""

Values = list[tuple[str, str]]
"""Each value with its meaning."""


class Shell(StrEnum):
    """The shells whose scripts are shipped."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_SCRIPTS = {
    Shell.BASH: "provisioner",
    Shell.ZSH: "_provisioner",
    Shell.FISH: "provisioner.fish",
}
"""The name of each script, under which a shell looks for it."""


def register(app: typer.Typer) -> None:
    """Add the verb; complete the values of every verb that was added."""
    app.command()(completion)
    verbs = list(app.registered_commands)
    for group in app.registered_groups:
        verbs += group.typer_instance.registered_commands if group.typer_instance else []
    for verb in verbs:
        for name, parameter in inspect.signature(verb.callback or completion).parameters.items():
            info = _info(parameter)
            named = (str(info.metavar or name).strip("[]."), name) if info else ()
            given = next((_GIVEN[each] for each in named if each in _GIVEN), None)
            if info is not None and given is not None and info.autocompletion is None:
                info.autocompletion = given


def _info(parameter: inspect.Parameter) -> Any:
    """Return what a verb declares of a parameter; None if it declares nothing."""
    for info in (parameter.default, *get_args(parameter.annotation)[1:]):
        if hasattr(info, "autocompletion"):
            return info
    return None


def completion(
    shell: Shell = typer.Argument(..., metavar="SHELL", help="bash, zsh or fish"),
) -> None:
    """Print a shell's script that completes verbs, options, ids and subjects."""
    script = files("provisioner.cli").joinpath("completion", _SCRIPTS[shell])
    print(script.read_text(encoding="utf-8"), end="")


def prepare(take_config: Callable[[list[str]], list[str]]) -> None:
    """Make typer answer a shell's question, from the configuration that its line names."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
    line = os.environ.get(_WORDS, "")
    if "--config" in line:
        try:
            words = shlex.split(line)
        except ValueError:  # a quote is still open
            return
        rest = shlex.join(take_config(words))
        os.environ[_WORDS] = rest + " " * line.endswith(" ")


def _from_journal(read: Callable[[Connection, str], Values]) -> Callable[[str], Values]:
    """Return a completion that reads the journal, and gives nothing if the caller may not."""

    def complete(incomplete: str) -> Values:
        try:
            book = site.journal(site.config())
        except (Fault, OSError):
            return []
        try:
            with book.reading() as conn:
                return read(conn, incomplete)
        except (Fault, OSError):
            return []
        finally:
            book.close()

    return complete


def _ids(conn: Connection, beginning: str) -> Values:
    from provisioner.journal.queries import lookup

    records = lookup.beginning_with(conn, beginning, _MOST)
    ids = [(each.id, f"{each.state} {each.action} {each.subject}") for each in records]
    return [*_short_ids(conn, beginning), *ids]


def _short_ids(conn: Connection, beginning: str) -> Values:
    """Return the short ids that `queue` prints, of what failed or waits."""
    from provisioner.inspection import failures
    from provisioner.journal.queries import lookup
    from provisioner.journal.records import request_rows
    from provisioner.objects.states import OPEN

    records = [failure.record for failure in failures.unfixed(conn)[-_MOST:]]
    records += request_rows.in_states(conn, OPEN, _MOST)
    short = lookup.short(conn, [record.id for record in records])
    return [
        (short[record.id], f"{record.state} {record.action} {record.subject}")
        for record in records
        if short[record.id].startswith(beginning.lower())
    ]


def _states(incomplete: str) -> Values:
    """Return the states of requests; of several with commas, the last one is completed."""
    from provisioner.objects.states import RequestState

    before, comma, last = incomplete.rpartition(",")
    return [(f"{before}{comma}{state}", "") for state in RequestState if state.startswith(last)]


def _templates(incomplete: str) -> Values:
    from provisioner.cli import many

    try:
        names = many.shipped()
    except (Fault, OSError):
        return []
    return [(name, "") for name in names if name.startswith(incomplete)]


def _subjects(conn: Connection, beginning: str) -> Values:
    from provisioner.journal.queries import lookup

    return [(subject, "") for subject in lookup.subjects(conn, beginning, _MOST)]


def _named(kind: str) -> Callable[[Connection, str], Values]:
    """Return what gives the names of the subjects of a kind."""

    def read(conn: Connection, beginning: str) -> Values:
        whole = beginning if beginning.startswith(kind) else f"{kind}{beginning}"
        return [
            (subject[len(whole) - len(beginning) :], meaning)
            for subject, meaning in _subjects(conn, whole)
        ]

    return read


def _causes(conn: Connection, beginning: str) -> Values:
    from provisioner.inspection import failures

    groups = failures.causes(failures.unfixed(conn))
    return [
        (group.id, f"{len(group.failures)} x {group.failures[0].where}")
        for group in groups
        if group.id.startswith(beginning)
    ]


def _actions(incomplete: str) -> Values:
    from provisioner.request.actions import ACTIONS

    return list(_summaries(ACTIONS, incomplete))


def _summaries(actions: Any, beginning: str) -> Iterator[tuple[str, str]]:
    for action, model in actions.items():
        if action.startswith(beginning):
            yield action, " ".join((model.__doc__ or "").split())


def _lanes(incomplete: str) -> Values:
    try:
        lanes = set(site.system().lanes.values())
    except (Fault, OSError):
        return []
    return [(lane, "") for lane in sorted(lanes) if lane.startswith(incomplete)]


def _handlers(incomplete: str) -> Values:
    try:
        configured = site.config().handlers
    except (Fault, OSError):
        return []
    return [(name, each.use) for name, each in configured.items() if name.startswith(incomplete)]


_GIVEN: dict[str, Callable[[str], Values]] = {
    "ID": _from_journal(_ids),
    "SUBJECT": _from_journal(_subjects),
    "subject": _from_journal(_subjects),
    "USER": _from_journal(_named("user:")),
    "ALLOCATION": _from_journal(_named("allocation:")),
    "LANE": _lanes,
    "STATE": _states,
    "template": _templates,
    "cause": _from_journal(_causes),
    "ACTION": _actions,
    "handler": _handlers,
    "HANDLER": _handlers,
}
"""What gives the values of a parameter, by its metavar or its name."""
