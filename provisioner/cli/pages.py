"""What each verb's help says, read from the verbs themselves: one source for terminal and manual.

Promises: a page has every argument and option of its verb, in the words that the verb declares.
Leaves out: which group a verb is in, and its examples (`guide`); how a page looks on a terminal
(`helping`) and in a manual (`manual`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.cli import guide

PROGRAM = "provisioner"

_CLAUSE = re.compile(r"[:;.] ")

Entry = tuple[str, str]
"""A term, such as an option, and what it means."""


@dataclass(frozen=True, slots=True)
class Page:
    """The help of the program, or of one verb.

    words: the program, then the verb; groups: verbs below it, by the title of their group.
    """

    words: tuple[str, ...]
    usage: str
    text: str
    arguments: tuple[Entry, ...] = ()
    options: tuple[Entry, ...] = ()
    groups: tuple[tuple[str, tuple[Entry, ...]], ...] = ()
    examples: tuple[Entry, ...] = ()
    epilog: str = ""

    @property
    def name(self) -> str:
        """Return the program and the verb, as they are typed."""
        return " ".join(self.words)


def page(command: Any, words: Sequence[str]) -> Page:
    """Return the page of a command. words: the program, then the verb."""
    visible = [parameter for parameter in command.params if not _hidden(parameter)]
    arguments = [each for each in visible if each.param_type_name == "argument"]
    options = [each for each in visible if each.param_type_name == "option"]
    verbs = _verbs(command)
    usage = [*words, "[OPTIONS]", *map(_argument, arguments), *(["VERB ..."] if verbs else [])]
    return Page(
        tuple(words),
        " ".join(usage),
        inspect.cleandoc(command.help or ""),
        tuple((_argument(each).strip("[]"), _meaning(each)) for each in arguments),
        (*(_option(each) for each in options), ("-h, --help", "show this page")),
        tuple(_grouped(verbs, top=len(words) == 1)),
        guide.EXAMPLES.get(" ".join(words[1:]), ()),
        " ".join((command.epilog or "").split()),
    )


def every(command: Any, words: Sequence[str] = (PROGRAM,)) -> Iterator[Page]:
    """Return the page of a command, then those of all verbs below it."""
    yield page(command, words)
    for name, verb in _verbs(command).items():
        yield from every(verb, (*words, name))


def below(command: Any, names: Sequence[str]) -> Any:
    """Return the command that some words name below a command; None if there is none."""
    for name in names:
        command = _verbs(command).get(name)
        if command is None:
            return None
    return command


def summary(command: Any) -> str:
    """Return what a command does, in the words before the first colon, semicolon or full stop."""
    text = " ".join(inspect.cleandoc(command.help or "").split())
    return _CLAUSE.split(text, maxsplit=1)[0].rstrip(".")


def _verbs(command: Any) -> Mapping[str, Any]:
    verbs = getattr(command, "commands", {})
    return {name: verb for name, verb in verbs.items() if not verb.hidden}


def _grouped(verbs: Mapping[str, Any], *, top: bool) -> Iterator[tuple[str, tuple[Entry, ...]]]:
    """Return verbs by group, in the order of the guide. top: these are the program's own verbs."""
    if not verbs:
        return
    groups = guide.GROUPS if top else {"Verbs": tuple(verbs)}
    placed = {name for names in groups.values() for name in names}
    rest = tuple(name for name in verbs if name not in placed)
    for title, names in {**groups, **({"Others": rest} if rest else {})}.items():
        entries = tuple((name, summary(verbs[name])) for name in names if name in verbs)
        if entries:
            yield title, entries


def _hidden(parameter: Any) -> bool:
    return bool(getattr(parameter, "hidden", False)) or "--help" in parameter.opts


def _argument(parameter: Any) -> str:
    """Return an argument as usage shows it: FILE, [FILE], FILE..."""
    name = str(parameter.metavar or parameter.name.upper())
    if parameter.nargs != 1 and "..." not in name:
        name += "..."
    return name if parameter.required or name.startswith("[") else f"[{name}]"


_NUMBERS = {int: "N", float: "SECONDS"}
"""What stands for the value of an option that is a number, by the type of its default."""


def _option(parameter: Any) -> Entry:
    """Return an option with its value, and its meaning."""
    names = sorted((*parameter.opts, *parameter.secondary_opts), key=len)
    term = ", ".join(names)
    if not parameter.is_flag:
        longest = names[-1].lstrip("-").upper()
        term += f" {parameter.metavar or _NUMBERS.get(type(parameter.default), longest)}"
    return term, _meaning(parameter)


def _meaning(parameter: Any) -> str:
    """Return what a parameter means, with its default and its variable."""
    more = []
    default = parameter.default
    plain = isinstance(default, int | float | str) and not isinstance(default, bool)
    if plain and default != "" and getattr(parameter, "show_default", True):
        more.append(
            f"default: {default:g}" if isinstance(default, float) else f"default: {default}"
        )
    if getattr(parameter, "envvar", None):
        more.append(f"else ${parameter.envvar}")
    text = parameter.help or ""
    return f"{text} ({'; '.join(more)})" if more else text
