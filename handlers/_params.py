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
        field, message = _first(error)
        raise InvalidRequest(f"{field}: {message}", field=field) from None


def settings(model: type[Model], values: Mapping[str, object]) -> Model:
    """Read a handler's settings; raises ConfigError naming the setting."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        field, message = _first(error)
        raise ConfigError(f"{field}: {message}") from None


def _first(error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if not str(part).startswith("is-instance"))
    return field, first["msg"].removeprefix("Value error, ")


def _octal(value: str) -> str:
    if not value or len(value) > 5 or set(value) - set("01234567"):
        raise ValueError("is no mode, such as 0700")
    return value


Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")]
"""A user's or group's name."""

Mode = Annotated[str, AfterValidator(_octal)]
"""Permission bits as octal text."""

LateId = KnownAfter | int
"""A numeric id that an earlier step may give."""
