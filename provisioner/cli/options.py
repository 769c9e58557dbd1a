"""Options that several verbs share, as values.

Promises: a verb's parameter whose type is a frozen class of annotated options appears on the
command line as those options, and the verb gets one value. Leaves out: what the options do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer


@dataclass(frozen=True, slots=True)
class Sending:
    """How a verb's request goes to the service, and whether the verb follows it."""

    wait: Annotated[
        bool, typer.Option("--wait", help="wait for the outcome, and print each step")
    ] = False
    timeout: Annotated[float, typer.Option(min=0, help="with --wait: seconds")] = 600.0
    key: Annotated[
        str,
        typer.Option(
            "--sign",
            metavar="KEY",
            envvar="PROVISIONER_SIGN",
            help="sign the request: your private key, or the public half of one that ssh-agent has",
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Each:
    """Requests of which some become many: the table, and the request that its rows fill."""

    table: Annotated[
        str,
        typer.Option("--each", metavar="TABLE", help="make a request of each row of a CSV file"),
    ] = ""
    template: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="with --each: the request to fill; a file, or a shipped one's name"
        ),
    ] = ""
    yes: Annotated[bool, typer.Option("--yes", help="with --each: send without asking")] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would change, and send nothing")
    ] = False


def flattened(verb: Callable[..., None]) -> Callable[..., None]:
    """Return a verb with the signature that typer reads: each value's fields in the value's place.

    A parameter's default is an instance that gives the defaults of the fields; without one, the
    class gives them.
    """
    hints = get_type_hints(verb, include_extras=True)
    values: dict[str, tuple[type, list[str]]] = {}
    flat: list[inspect.Parameter] = []
    for parameter in inspect.signature(verb).parameters.values():
        kind = hints[parameter.name]
        if not is_dataclass(kind):
            flat.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=kind))
            continue
        assert isinstance(kind, type)
        options = _fields(kind, parameter)
        values[parameter.name] = kind, [option.name for option in options]
        flat += options

    @wraps(verb)
    def called(**given: Any) -> None:
        for name, (kind, members) in values.items():
            given[name] = kind(**{member: given.pop(member) for member in members})
        verb(**given)

    del called.__dict__["__wrapped__"]  # typer would read the verb's own signature there
    called.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    called.__annotations__ = {option.name: option.annotation for option in flat}
    return called


def _fields(kind: type[Any], parameter: inspect.Parameter) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    defaults = kind() if parameter.default is parameter.empty else parameter.default
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(defaults, field.name),
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
