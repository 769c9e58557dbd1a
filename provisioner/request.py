"""The request format: what a file may say, and every error in it at once.

Promises: a request that was parsed has only known keys, strict names and typed values; a request
that was not says for each error the line, the key, what was expected and the nearest valid name.
Leaves out: who may ask (`policy`), and what the site makes of it (`routing`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any, cast, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from provisioner.actions import ACTIONS, Envelope
from provisioner.documents import Document, InvalidDocument, Path, Problem, parse


@dataclass(frozen=True, slots=True)
class Order:
    """A writer's own order of its requests under a key."""

    key: str
    number: int


@dataclass(frozen=True, slots=True)
class Request:
    """One request. values: what expressions in routes may use, typed, with None for what is absent.

    users: those that `each: user` goes through; resource_at: key and line that name the resource.
    """

    action: str
    subject: str
    values: Mapping[str, Any]
    id: str | None = None
    order: Order | None = None
    on_behalf_of: str | None = None
    reason: str | None = None
    expires: datetime | None = None
    not_before: datetime | None = None
    adopt: bool = False
    resource: str | None = None
    users: tuple[str, ...] = ()
    resource_at: tuple[str, int | None] = field(default=("", None), compare=False)


def parse_request(data: bytes) -> Request:
    """Parse the bytes of a request file.

    Raises InvalidDocument with every problem.
    """
    document = parse(data, expected="a request, beginning with `provisioner: 1`")
    model = _model(document)
    try:
        body = model.model_validate(document.value)
    except ValidationError as error:
        raise InvalidDocument(problems_of(error, document, model)) from None
    return _request(body, document)


def _model(document: Document) -> type[Envelope]:
    """Find the model of the document's action."""
    problems = []
    version = document.value.get("provisioner")
    if version != "1":
        line = document.lines.get(("provisioner",), 1)
        why = "missing" if version is None else f"version {version!r} is not known"
        problems.append(Problem(line, "provisioner", why, "1"))
    action = document.value.get("action")
    if action is None:
        problems.append(Problem(1, "action", "missing", f"one of {', '.join(ACTIONS)}"))
    elif not isinstance(action, str) or action not in ACTIONS:
        nearest = get_close_matches(str(action), ACTIONS, 1, 0.4)
        problems.append(
            Problem(
                document.lines.get(("action",)),
                "action",
                f"{action!r} is no action",
                f"one of {', '.join(ACTIONS)}",
                nearest[0] if nearest else "",
            )
        )
        action = nearest[0] if nearest else None
    elif not problems:
        return ACTIONS[action]
    if isinstance(action, str):
        # What is wrong with the rest is worth knowing too, by the action that was probably meant.
        try:
            ACTIONS[action].model_validate({**document.value, "provisioner": "1", "action": action})
        except ValidationError as error:
            problems += problems_of(error, document, ACTIONS[action])
    raise InvalidDocument(problems)


def problems_of(
    error: ValidationError, document: Document, model: type[BaseModel]
) -> list[Problem]:
    """Translate pydantic's errors into problems with lines and nearest names, in file order."""
    found = [_problem(detail, document, model) for detail in error.errors(include_url=False)]
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda problem: (problem.line or 0, problem.key))


def _problem(detail: Any, document: Document, model: type[BaseModel]) -> Problem:
    path = _known_path(detail, document)
    key = ".".join(map(str, path))
    line = next(
        (document.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in document.lines), 1
    )
    kind = detail["type"]
    if kind == "extra_forbidden":
        names = sorted(_fields(model, path[:-1]))
        nearest = get_close_matches(str(path[-1]), names, 1, 0.5)
        return Problem(
            line,
            key,
            "unknown key",
            f"one of {', '.join(names)}" if names else "no such key",
            nearest[0] if nearest else "",
        )
    if kind == "missing":
        return Problem(line, key, "missing", _expected(model, path))
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    message, _, said = message.partition("; expected ")
    value = detail.get("input")
    nearest_value = ""
    if kind in ("literal_error", "enum"):
        options = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
        close = get_close_matches(str(value), options, 1, 0.4)
        nearest_value = close[0] if close else ""
    named = not isinstance(value, str) or len(value) >= 80 or message.startswith(repr(value))
    shown = "" if named else f"{value!r}: "
    return Problem(line, key, shown + message, said or _expected(model, path), nearest_value)


def _known_path(detail: Any, document: Document) -> Path:
    """Leave out of pydantic's location what is no key of the document (union members)."""
    loc = cast(Path, detail["loc"])
    last = len(loc) - 1 if detail["type"] == "missing" else None
    path: Path = ()
    for number, part in enumerate(loc):
        if (*path, part) in document.lines or number == last:
            path = (*path, part)
    return path


def _field(model: type[BaseModel], path: Path) -> Any:
    """Follow a path through nested models to the field it names."""
    current: Any = model
    field: Any = None
    free = False  # the next part is one of many of a kind, named by whoever writes the file
    for part in path:
        if isinstance(part, int):
            continue
        if free:
            free = False
            continue
        field = _named(current).get(part)
        if field is None:
            return None
        current = _nested(field.annotation)
        free = get_origin(field.annotation) is dict
    return field


def _named(model: Any) -> dict[str, Any]:
    """Return the fields of a model by the names they have in a file."""
    fields = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in fields.items()}


def _nested(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _nested(inner)
        if found is not None:
            return found
    return None


def _fields(model: type[BaseModel], path: Path) -> set[str]:
    if not path:
        return set(_named(model))
    field = _field(model, path)
    return set(_named(_nested(field.annotation))) if field is not None else set()


def _expected(model: type[BaseModel], path: Path) -> str:
    field = _field(model, path)
    if field is None:
        return ""
    example = field.examples[0] if field.examples else None
    description = (field.description or "").rstrip(".")
    return f"{description}, such as {example}" if example is not None else description


def _request(body: Envelope, document: Document) -> Request:
    values, resource_key = body.expressions(), body.resource_key()
    return Request(
        action=body.action,
        subject=body.subject(),
        values=values,
        id=body.id,
        order=Order(body.order.key, body.order.number) if body.order else None,
        on_behalf_of=body.on_behalf_of,
        reason=body.reason,
        expires=body.expires,
        not_before=body.not_before,
        adopt=body.adopt,
        resource=body.resource_name(),
        users=body.user_names(),
        resource_at=(resource_key, document.lines.get(tuple(resource_key.split(".")))),
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a request file, for editors."""
    from typing import Union

    union: Any = Union[tuple(dict.fromkeys(ACTIONS.values()))]  # noqa: UP007
    schema = TypeAdapter(union).json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "provisioner request"
    _widen(schema)
    return schema


_WRITTEN: Mapping[str, Mapping[str, Any]] = {
    "integer": {"type": ["integer", "string"], "pattern": "^[0-9]+$"},
    "boolean": {"type": ["boolean", "string"], "pattern": "^(true|false|yes|no|on|off)$"},
}
"""What an editor may take for a value of a type: to it `id: 42` is a number, to us text."""


def _widen(schema: Any) -> None:
    """Let every type admit all that an editor may take a right value for, and no more."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        if kind == "string" and "const" not in schema and "enum" not in schema:
            schema.update(_text(schema))
        elif isinstance(kind, str):
            schema.update(_WRITTEN.get(kind, {}))
        if "patternProperties" in schema:
            schema["additionalProperties"] = False
        for inner in schema.values():
            _widen(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _widen(inner)


def _text(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Say what an editor may take a text for: `017` is a number to it, and a code to us."""
    if "format" in schema:
        return {}
    pattern = schema.get("pattern", "")
    types = ["string"]
    number = any(re.search(pattern, "1" * length) for length in (1, 64))
    types += ["number"] if number else []
    types += ["boolean"] if re.search(pattern, "true") else []
    return {"type": types, **({} if not number or re.search(pattern, "-1") else {"minimum": 0})}
