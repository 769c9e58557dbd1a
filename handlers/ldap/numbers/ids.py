"""Ranges: the numbers of users and groups that a handler allows or gives out, and those that
requests name.

Promises: pure. Leaves out: whose a number is (`numbers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from provisioner.contract import Change, InvalidRequest, Json, Key, split_key

LARGEST = 4_294_967_294
"""The largest uid that Linux takes (the next one means "no change" to chown)."""


class Ids(BaseModel):
    """The numbers that this handler gives out or allows."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: int = Field(1000, alias="from", ge=1, le=LARGEST, description="smallest number")
    last: int = Field(2_000_000_000, alias="to", ge=1, le=LARGEST, description="largest number")
    container: str | None = Field(
        None,
        description="DN below which entries note whose each number is; without it the handler "
        "gives out no numbers; they come from the request or from Active Directory",
        examples=["OU=ids,DC=hpc,DC=test"],
    )
    object_class: str | None = Field(
        None, description="class of these entries, with cn and description",
        examples=["container", "organizationalRole"],
    )  # fmt: skip

    @model_validator(mode="after")
    def _ordered(self) -> Ids:
        if self.first > self.last:
            raise ValueError("`from` is larger than `to`")
        return self

    def check(self, field: str, number: object, setting: str = "ids") -> None:
        """Refuse a number outside the range. Raises InvalidRequest that names the field.

        setting: the name of the range in the configuration.
        """
        if isinstance(number, int) and not self.first <= number <= self.last:
            raise InvalidRequest(
                f"{field} {number} is outside the configured range",
                field=field,
                expected=f"{self.first} to {self.last} (the handler's `{setting}`)",
            )


@dataclass(frozen=True, slots=True)
class Named:
    """A number that a request names for somebody. name: their name in the directory's entry."""

    key: Key
    owner: str
    name: str
    number: int


def named(
    changes: Iterable[Change], field: str, attribute: str, owner: Callable[[Change], str]
) -> list[Named]:
    """Return the numbers that changes are going to write because a request names them.

    field: the number's name in a change that creates, attribute: in one that sets.
    """
    named_ids = []
    for change in changes:
        given = cast(Mapping[str, Json], change.data.get("fields", change.data))
        setting = cast(Mapping[str, Json], change.data.get("set") or {})
        number = setting.get(attribute, given.get(field))
        if isinstance(number, int) and change.verb in ("create", "set"):
            named_ids.append(Named(change.key, owner(change), split_key(change.key)[2], number))
    return named_ids
