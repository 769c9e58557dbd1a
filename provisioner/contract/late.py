"""Late values: what a step's parameters lack until an earlier step has given its output.

Promises: a want made of parameters with a late value keeps it, whichever way a handler makes the
want (`dataclasses.asdict` and pydantic's `model_dump` would turn a dataclass into a mapping). Such
a want is an outline. Leaves out: where values come from (`routing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import core_schema


class KnownAfter:
    """Stands for a parameter that a route takes from an earlier step's output.

    The engine first calls a handler's `claims` with these in place of unknown values, so that all
    else is checked and the keys are known; it calls it again with real values before any claim
    counts. Keys must not depend on one. In a pydantic model: `uid: int | KnownAfter`.
    """

    __slots__ = ("step",)

    def __init__(self, step: str) -> None:
        self.step = step

    def __repr__(self) -> str:
        return f"KnownAfter({self.step!r})"

    def __str__(self) -> str:
        return f"known after {self.step}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownAfter) and other.step == self.step

    def __hash__(self) -> int:
        return hash((KnownAfter, self.step))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(cls)


def steps_of(value: object) -> Iterator[str]:
    """Return the steps that parts of a value come from."""
    if isinstance(value, KnownAfter):
        yield value.step
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from steps_of(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from steps_of(inner)


def without_late(value: object) -> object:
    """Return a copy of a value with None for parts that are known later."""
    if isinstance(value, Mapping):
        return {name: without_late(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_late(inner) for inner in value]
    return None if isinstance(value, KnownAfter) else value


def fits(outline: object, want: object) -> bool:
    """Return True if a want, as the ledger keeps it in JSON, is as an outline says.

    What the outline knows only later may be anything, or missing: a step may give no value.
    """
    if isinstance(outline, KnownAfter):
        return True
    if isinstance(outline, Mapping) and isinstance(want, Mapping):
        certain = {name for name, value in outline.items() if not isinstance(value, KnownAfter)}
        return certain <= want.keys() <= outline.keys() and all(
            fits(outline[name], value) for name, value in want.items()
        )
    if isinstance(outline, list | tuple) and isinstance(want, list):
        return len(outline) == len(want) and all(map(fits, outline, want))
    return outline == want
