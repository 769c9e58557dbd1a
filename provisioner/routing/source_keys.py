"""Source keys: which key of a request's file a step's parameter comes from.

Promises: an error in a parameter names the key and line that its writer can fix, by the key that
its expression reads. Leaves out: rendering, and what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.contract import Fault, InvalidRequest
from provisioner.request.documents import Problem, advised
from provisioner.request.places import Path, dotted, path_of
from provisioner.request.request import Request
from provisioner.routing.expressions import reads


def problem(
    request: Request,
    fault: Fault,
    where: str,
    templates: Mapping[str, Any],
    person: Path = (),
    outputs: Mapping[str, Any] | None = None,
) -> Problem:
    """Return a handler's or a route's fault as a problem of a key of the file, or of the step that
    gave it.

    where: the step and its instance; templates: the step's parameters in the route; person:
    the key of the user of a step `each: user` (`People`); outputs: what earlier steps gave, once
    they have.
    """
    if not isinstance(fault, InvalidRequest):
        return Problem(None, "", advised(f"{where}: {fault.message}", fault.advice))
    name = fault.field
    key = origin(request, templates, name, person) if name else ()
    if name and outputs and (said := _of_steps(templates, name, outputs, key in request.lines)):
        told = f"{where}, {name}: {fault.message}; {said}"
        return Problem(None, "", told, fault.expected, fault.nearest)
    if name and (not key or str(key[-1]) != name):
        where = f"{where}, {name}"
    line = request.line_of(key) if key else fault.line
    shown = dotted(key)
    return Problem(line, shown, f"{where}: {fault.message}", fault.expected, fault.nearest)


def origin(request: Request, templates: Mapping[str, Any], name: str, person: Path = ()) -> Path:
    """Return the key of the file that a parameter comes from; () if it comes from none.

    name: the parameter, with dots for parts inside it. Of several keys, the first that the file
    has.
    """
    template, rest = _followed(templates, path_of(name))
    if template is templates:  # the handler names a parameter that the route does not set
        return ()
    keys = [key for read in reads(template) if (key := _key(request, read, person))]
    found = next((key for key in keys if key in request.lines), keys[0] if keys else ())
    return (*found, *rest) if found and (*found, *rest) in request.lines else found


def _of_steps(
    templates: Mapping[str, Any], name: str, outputs: Mapping[str, Any], written: bool
) -> str:
    """Return which step gave a parameter, or that none did; '' if it does not come from a step.

    written: True if the request gives it when no step does.
    """
    asked = [read for read in reads(_followed(templates, path_of(name))[0]) if read[0] == "steps"]
    steps = list(dict.fromkeys(str(read[1]) for read in asked if len(read) == 4))
    for read in asked:
        given = outputs.get(str(read[1]), {}).get("output") if len(read) == 4 else None
        if isinstance(given, dict) and given.get(read[3]) is not None:
            return f"it is the output of step {read[1]}"
    if written or not steps:
        return ""
    listed = ", ".join(steps)
    return f"no step of this site ({listed}) gave one, and neither did the request"


def _followed(template: Any, path: Path) -> tuple[Any, Path]:
    """Follow a parameter down as far as the route spells it out."""
    if path and isinstance(template, Mapping) and path[0] in template:
        return _followed(template[path[0]], path[1:])
    if path and isinstance(template, list | tuple) and isinstance(path[0], int):
        return _followed(template[path[0]], path[1:])
    return template, path


def _key(request: Request, read: Path, person: Path) -> Path:
    """Return the key of the file that an expression reads; () if it reads none of the file's."""
    name, *more = read
    if name == "user" and person:
        return person
    place = request.places.get(str(name))
    return () if place is None else (*place, *more)


class People(dict[str, Path]):
    """The key of each person for whom steps `each: user` of a request run.

    The list is read once, as each of ten thousand people may have a mistake.
    """

    def __init__(self, request: Request) -> None:
        super().__init__()
        place = request.places.get("users", request.places.get("user", ()))
        self._else: Path = place if place != ("user",) else ("user", "name")
        listed: Any = request.values
        for part in place:
            listed = listed.get(part) if isinstance(listed, Mapping) else None
        if isinstance(listed, Sequence) and not isinstance(listed, str):
            for number, name in enumerate(listed):
                self.setdefault(name, (*place, number))

    def __missing__(self, name: str) -> Path:
        return self._else
