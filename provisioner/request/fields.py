"""Fields: what a model has at a place of a document, and a document without its mistakes.

Promises: pure, for any pydantic model. Leaves out: what the mistakes are (`request`).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from provisioner.contract.validation import example, wrongs
from provisioner.request.places import Path

_ROUNDS = 4
"""How often missing keys are filled in: each round finds those inside the ones before."""


def repaired(
    model: type[BaseModel], value: Mapping[str, Any], wrong: Collection[Path]
) -> BaseModel | None:
    """Return what a document says without its wrong keys; None if the others make no model.

    A required key gets its example, so that what is wrong elsewhere is told, too. A wrong entry of
    a list gets the list's first right entry, so that the others keep their numbers.
    """
    rest = copy.deepcopy(dict(value))
    _take_out(rest, wrong)
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(rest)
        except ValidationError as error:
            missing = [one.loc for one in wrongs(error) if one.kind == "missing"]
            if not missing:
                return None
            for path in missing:
                _put(rest, path, _example(model, path))
    return None


def at(model: type[BaseModel], path: Path) -> Any:
    """Return the field that a path through nested models names."""
    current: Any = model
    field: Any = None
    free = False  # the next part is a name that the file's writer chose
    for part in path:
        if isinstance(part, int):
            continue
        if free:
            free = False
            continue
        field = named(current).get(part)
        if field is None:
            return None
        current = nested(field.annotation)
        free = get_origin(field.annotation) is dict
    return field


def named(model: Any) -> dict[str, Any]:
    """Return the fields of a model by their names in a file."""
    every = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in every.items()}


def nested(annotation: Any) -> Any:
    """Return the model in an annotation; None if it has none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = nested(inner)
        if found is not None:
            return found
    return None


def names(model: type[BaseModel], path: Path) -> set[str]:
    """Return the keys that a mapping may have."""
    if not path:
        return set(named(model))
    field = at(model, path)
    return set(named(nested(field.annotation))) if field is not None else set()


def _take_out(rest: dict[str, Any], wrong: Collection[Path]) -> None:
    """Remove wrong keys, and replace wrong entries of each list by one that is right."""
    entries: dict[Path, set[int]] = {}
    for path in wrong:
        *above, last = path or ("",)
        parent = _at(rest, above)
        if isinstance(parent, dict):
            parent.pop(last, None)
        elif isinstance(parent, list) and isinstance(last, int):
            entries.setdefault(tuple(above), set()).add(last)
    for place, numbers in entries.items():
        listed = _at(rest, place)
        right = [one for n, one in enumerate(listed or ()) if n not in numbers]
        if isinstance(listed, list):
            listed[:] = [right[0] if n in numbers else one for n, one in enumerate(listed) if right]


def _at(value: Any, path: Sequence[str | int]) -> Any:
    """Return the part of a document at a path; None if there is none."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _put(value: dict[str, Any], path: Path, what: Any) -> None:
    *above, last = path
    parent = _at(value, above)
    if isinstance(parent, dict):
        parent[last] = what


def _example(model: type[BaseModel], path: Path) -> Any:
    """Return a right value of a required key: its example, or a mapping to be filled in."""
    field = at(model, path)
    if field is None:
        return None
    return {} if isinstance(nested(field.annotation), type) else example(field)
