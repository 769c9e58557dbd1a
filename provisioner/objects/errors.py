"""Errors that travel: why something did not get done, from a handler's fault to results and pages.

Promises: frozen; what is written is read back as it was, and what an older journal lacks is empty.
Leaves out: who says it to whom (`outcome`, `cli`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from provisioner.contract import Fault, InvalidRequest, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """What a fault said.

    type: the fault's class, such as `Conflict`; object: the key it is about, '' where it is about
    none; field: the parameter that is wrong; traceback: of what nobody expected.
    """

    type: str
    message: str
    advice: str = ""
    object: Key = ""
    field: str = ""
    traceback: str = ""

    @classmethod
    def of(cls, fault: Fault, key: Key = "") -> Error:
        """Keep what a fault says of an object."""
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
        """Read what `words` gave."""
        known = {field.name: str(words.get(field.name, "")) for field in fields(cls)}
        return cls(**known)

    def words(self) -> dict[str, str]:
        """Give what is known of it as names and values, for the journal and for programs."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        always = ("type", "message", "advice")
        return {name: value for name, value in said.items() if value or name in always}
