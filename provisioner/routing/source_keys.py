"""Source keys: which key of a request's file a step's parameter was taken from.

Promises: what is wrong with a parameter is told where its writer can mend it, by the key that its
expression reads and the line of that key. Leaves out: rendering, and what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.contract import Fault, InvalidRequest
from provisioner.request.documents import Path, Problem, advised
from provisioner.request.request import Request, path_of
from provisioner.routing.expressions import reads


def problem(
    request: Request,
    fault: Fault,
    where: str,
    templates: Mapping[str, Any],
    item: str = "",
    outputs: Mapping[str, Any] | None = None,
) -> Problem:
    """Tell a handler's or a route's fault by the key of the file, or by the step that gave it.

    where: the step and its instance; templates: the step's parameters as the route has them; item:
    whom a step `each: user` was at; outputs: what earlier steps gave, once they have.
    """
    if not isinstance(fault, InvalidRequest):
        return Problem(None, "", advised(f"{where}: {fault.message}", fault.advice))
    name = fault.field
    key = origin(request, templates, name, item) if name else ()
    if name and outputs and (said := _of_steps(templates, name, outputs, key in request.lines)):
        told = f"{where}, {name}: {fault.message}; {said}"
        return Problem(None, "", told, fault.expected, fault.nearest)
    if name and (not key or str(key[-1]) != name):
        where = f"{where}, {name}"
    line = request.line_of(key) if key else fault.line
    shown = ".".join(map(str, key))
    return Problem(line, shown, f"{where}: {fault.message}", fault.expected, fault.nearest)


def origin(request: Request, templates: Mapping[str, Any], name: str, item: str = "") -> Path:
    """Return the key of the file that a parameter is read from; () where it is from none.

    name: the parameter, with dots for what lies in it. Of several keys the first that the file has.
    """
    template, rest = _followed(templates, path_of(name))
    if template is templates:  # the handler speaks of a parameter that the route does not give
        return ()
    keys = [key for read in reads(template) if (key := _key(request, read, item))]
    found = next((key for key in keys if key in request.lines), keys[0] if keys else ())
    return (*found, *rest) if found and (*found, *rest) in request.lines else found


def _of_steps(
    templates: Mapping[str, Any], name: str, outputs: Mapping[str, Any], written: bool
) -> str:
    """Say of a parameter which step gave it, or that none did; '' where it is not of a step.

    written: the request says it, where no step does.
    """
    asked = [read for read in reads(_followed(templates, path_of(name))[0]) if read[0] == "steps"]
    steps = list(dict.fromkeys(str(read[1]) for read in asked if len(read) == 4))
    for read in asked:
        given = outputs.get(str(read[1]), {}).get("output") if len(read) == 4 else None
        if isinstance(given, dict) and given.get(read[3]) is not None:
            return f"it is what step {read[1]} gave"
    if written or not steps:
        return ""
    said = ", ".join(steps)
    return f"no step before gave one (of {said}, those that the site has), nor does the request"


def _followed(template: Any, path: Path) -> tuple[Any, Path]:
    """Go down a parameter as far as the route spells it out."""
    if path and isinstance(template, Mapping) and path[0] in template:
        return _followed(template[path[0]], path[1:])
    if path and isinstance(template, list | tuple) and isinstance(path[0], int):
        return _followed(template[path[0]], path[1:])
    return template, path


def _key(request: Request, read: Path, item: str) -> Path:
    """Turn what an expression reads into a key of the file; () where it is none of the file's."""
    name, *more = read
    if name == "user" and item:
        return _person(request, item)
    place = request.places.get(str(name))
    return () if place is None else (*place, *more)


def person(request: Request, item: str) -> str:
    """Return the key of somebody whom a step `each: user` goes through, with dots."""
    return ".".join(map(str, _person(request, item)))


def _person(request: Request, item: str) -> Path:
    place = request.places.get("users", request.places.get("user", ()))
    listed: Any = request.values
    for part in place:
        listed = listed.get(part) if isinstance(listed, Mapping) else None
    if isinstance(listed, Sequence) and not isinstance(listed, str) and item in listed:
        return (*place, listed.index(item))
    return place if place != ("user",) else ("user", "name")
