"""Read a step's parameters and a handler's settings into pydantic models.

Promises: all mistakes are reported at once, each with its field, what was expected, and the nearest
known name for an unknown one. Leaves out: a handler's own checks of valid values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import core_schema

from provisioner.contract import validation
from provisioner.contract.faults import ConfigError, InvalidRequest
from provisioner.contract.late import KnownAfter
from provisioner.contract.texts import Adapted, line
from provisioner.contract.validation import Wrong, wrongs

Model = TypeVar("Model", bound=BaseModel)


def read_params(model: type[Model], values: Mapping[str, object]) -> Model:
    """Return a step's parameters.

    Raises InvalidRequest for the first mistake, with the others in its `also`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise several([_fault(model, wrong) for wrong in wrongs(error)]) from None


def read_settings(model: type[Model], values: Mapping[str, object]) -> Model:
    """Return a handler's settings. Raises ConfigError that names each wrong one."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [_fault(model, wrong) for wrong in wrongs(error)]
        advice = "`provisioner config example` shows every setting"
        fault = ConfigError("; ".join(map(_in_words, faults)), advice=advice)
        fault.settings = tuple(faults)
        raise fault from None


def together(*checks: Callable[[], object]) -> None:
    """Run all checks. Raises one InvalidRequest with the mistakes of all of them."""
    faults = []
    for check in checks:
        try:
            check()
        except InvalidRequest as fault:
            faults.append(fault)
    if faults:
        raise several(faults)


def several(faults: list[InvalidRequest]) -> InvalidRequest:
    """Return one fault for several: the first, with the others in `also`."""
    first, *others = faults
    first.also = (*first.also, *others)
    return first


def _fault(model: type[BaseModel], wrong: Wrong) -> InvalidRequest:
    field = ".".join(map(str, wrong.loc))
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    if wrong.kind == "unknown":
        near = validation.nearest(field, known)
        expected = f"one of {', '.join(known)}"
        return InvalidRequest(wrong.message, field=field, expected=expected, nearest=near)
    about = known.get(str(wrong.loc[0])) if wrong.loc else None
    entry = len(wrong.loc) > 1 and isinstance(wrong.loc[-1], int)
    expected = wrong.expected or (validation.expected(about, entry=entry) if about else "")
    return InvalidRequest(wrong.message, field=field, expected=expected, nearest=wrong.nearest)


def _in_words(fault: InvalidRequest) -> str:
    field = f"{fault.field}: " if fault.field else ""
    if fault.nearest:
        return f"{field}{fault.message}, did you mean {fault.nearest!r}?"
    return f"{field}{fault.message}" + (f", expected {fault.expected}" if fault.expected else "")


def _octal(value: str) -> str:
    if not value or set(value) - set("01234567") or int(value, 8) > 0o7777:
        raise ValueError("is not a mode, such as 0700")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_.-]{0,31}", value):
        raise ValueError("is not a name; expected a-z or _, then at most 31 of a-z 0-9 _ . -")
    return value


Name = Annotated[str, AfterValidator(_name)]
"""A user's or group's name."""

Mode = Annotated[str, AfterValidator(_octal)]
"""Permission bits as octal text."""


@dataclass(frozen=True, slots=True)
class Fits:
    """Makes a text fit what a backend can hold, instead of refusing it; beside an annotation.

    longest: characters; holds: what else the backend changes.
    """

    longest: int
    holds: Callable[[str, int], Adapted] = line

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        def fit(value: Any) -> Any:
            return self.holds(value, self.longest).text if isinstance(value, str) else value

        return core_schema.no_info_after_validator_function(fit, handler(source))


def adapted(model: type[BaseModel], values: Mapping[str, object]) -> dict[str, str]:
    """Return a remark for each text of the parameters that is held in another form; see `Fits`."""
    remarks = {}
    for name, field in model.model_fields.items():
        for fits in field.metadata:
            value = values.get(name)
            if isinstance(fits, Fits) and isinstance(value, str):
                remarks[name] = fits.holds(value, fits.longest).remark
    return {name: said for name, said in remarks.items() if said}


LateId = KnownAfter | int
"""A numeric id that an earlier step may give."""
