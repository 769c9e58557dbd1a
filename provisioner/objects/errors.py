"""Errors as values: why something failed, from a handler's fault to results and pages.

Promises: frozen; an error that is written is read back unchanged, and fields that an older journal
lacks are empty. Leaves out: who shows it to whom (`outcome`, `cli`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from provisioner.contract import Conflict, Fault, InvalidRequest, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """A fault as a value.

    type: the fault's class, such as `Conflict`; object: the key of its object, or ''; field: the
    wrong parameter; traceback: of an unexpected exception; adoptable: a request with `adopt: true`
    takes the object over.
    """

    type: str
    message: str
    advice: str = ""
    object: Key = ""
    field: str = ""
    traceback: str = ""
    adoptable: bool = False

    @classmethod
    def of(cls, fault: Fault, key: Key = "") -> Error:
        """Make one from a fault about an object."""
        return cls(
            type=type(fault).__name__,
            message=fault.message,
            advice=fault.advice,
            object=key,
            field=fault.field if isinstance(fault, InvalidRequest) else "",
            traceback=fault.trace,
            adoptable=isinstance(fault, Conflict) and fault.adoptable,
        )

    @classmethod
    def read(cls, words: Mapping[str, Any]) -> Error:
        """Read what `words` returned; in an earlier version the advice alone said `adoptable`."""
        texts = [field.name for field in fields(cls) if field.name != "adoptable"]
        known = {name: str(words.get(name, "")) for name in texts}
        adoptable = words.get("adoptable", "`adopt: true`" in known["advice"])
        return cls(**known, adoptable=bool(adoptable))

    def words(self) -> dict[str, str | bool]:
        """Return its fields that are not empty, for the journal and for programs."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        always = ("type", "message", "advice", "adoptable")
        return {name: value for name, value in said.items() if value or name in always}
