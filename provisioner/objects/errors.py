"""Errors as values: why something failed, from a handler's fault to results and pages.

Promises: frozen; an error that is written is read back unchanged, and fields that an older journal
lacks are empty. Leaves out: who shows it to whom (`outcome`, `cli`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from provisioner.contract import Fault, InvalidRequest, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """A fault as a value.

    type: the fault's class, such as `Conflict`; object: the key of its object, or ''; field: the
    wrong parameter; traceback: of an unexpected exception.
    """

    type: str
    message: str
    advice: str = ""
    object: Key = ""
    field: str = ""
    traceback: str = ""

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
        )

    @classmethod
    def read(cls, words: Mapping[str, Any]) -> Error:
        """Read what `words` returned."""
        known = {field.name: str(words.get(field.name, "")) for field in fields(cls)}
        return cls(**known)

    def words(self) -> dict[str, str]:
        """Return its fields that are not empty, for the journal and for programs."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        always = ("type", "message", "advice")
        return {name: value for name, value in said.items() if value or name in always}
