"""Parameters and settings: what pydantic says of them, in the contract's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from provisioner.contract import ConfigError, InvalidRequest, KnownAfter

Model = TypeVar("Model", bound=BaseModel)


def params(model: type[Model], values: Mapping[str, object]) -> Model:
    """Read a step's parameters; raises InvalidRequest naming the field."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        field, message = wrong(error)[0]
        raise InvalidRequest(f"{field}: {message}", field=field) from None


def settings(model: type[Model], values: Mapping[str, object]) -> Model:
    """Read a handler's settings; raises ConfigError naming the setting."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        field, message = wrong(error)[0]
        raise ConfigError(f"{field}: {message}") from None


def wrong(error: ValidationError) -> list[tuple[str, str]]:
    """List fields and what is wrong with them.

    A value that may also come later is tried as both: that it is no KnownAfter is left out.
    """
    found = error.errors(include_url=False)
    late = {one["loc"][:-1] for one in found if one["type"] == "is_instance_of"}
    said: dict[str, str] = {}
    for one in found:
        if one["type"] == "is_instance_of":
            continue
        loc = one["loc"][:-1] if one["loc"][:-1] in late else one["loc"]
        said.setdefault(".".join(map(str, loc)), one["msg"].removeprefix("Value error, "))
    return list(said.items())


def _octal(value: str) -> str:
    if not value or set(value) - set("01234567") or int(value, 8) > 0o7777:
        raise ValueError("is no mode, such as 0700")
    return value


Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")]
"""A user's or group's name."""

Mode = Annotated[str, AfterValidator(_octal)]
"""Permission bits as octal text."""

LateId = KnownAfter | int
"""A numeric id that an earlier step may give."""
