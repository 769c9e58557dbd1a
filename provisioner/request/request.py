"""The request format: what a file may say, and every error in it at once.

Promises: a parsed request has only known keys, strict names and typed values; for any other file,
each error names the line, the key, what was expected and the nearest valid name.
Leaves out: who may ask (`policy`), and which steps the site makes of it (`router`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from provisioner.contract.texts import phrase
from provisioner.contract.validation import LONGEST, Wrong, expected, nearest, wrongs
from provisioner.plain.values import value
from provisioner.request import fields
from provisioner.request.actions import ACTIONS, Envelope
from provisioner.request.documents import Document, InvalidDocument, Problem, in_order, parse
from provisioner.request.places import MOST, Path, dotted, path_of
from provisioner.request.subjects import UsersFile
from provisioner.request.values import Changed


@dataclass(frozen=True, slots=True)
class Order:
    """A writer's own order of its requests under a key."""

    key: str
    number: int


@value(frozen=True, slots=True)
class Request:
    """One request. values: what expressions in routes may use, typed, with None for absent values.

    users: those for whom `each: user` runs; users_file: the file that lists them, until it was
    read; places: the key of each value of expressions; lines: the line of every key of the file;
    notes: what was changed in its texts; spares: if a backend does not take a user's name, only
    that backend's step goes without the user.
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
    ends: datetime | None = None
    adopt: bool = False
    replaces: str | None = None
    resource: str | None = None
    users: tuple[str, ...] = ()
    users_file: UsersFile | None = None
    spares: bool = False
    resource_key: str = field(default="", compare=False)
    notes: tuple[Problem, ...] = field(default=(), compare=False, repr=False)
    places: Mapping[str, Path] = field(default_factory=dict, compare=False, repr=False)
    lines: Mapping[Path, int] = field(default_factory=dict, compare=False, repr=False)

    def line_of(self, path: Path) -> int | None:
        """Return the line of a key, or of the nearest one around it."""
        return next(
            (self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None
        )

    def placed(self, problem: Problem) -> Problem:
        """Return a problem with the line of its key in the file."""
        line = problem.line or self.line_of(path_of(problem.key))
        return replace(problem, line=line)


class InvalidFile(InvalidDocument):
    """A file with mistakes in its form. rest: the request that its valid keys make."""

    def __init__(self, problems: Sequence[Problem], rest: Request | None) -> None:
        super().__init__(problems)
        self.rest = rest


def parse_request(data: bytes) -> Request:
    """Return the request in a file's bytes.

    Raises InvalidFile with every problem.
    """
    problems: list[Problem] = []
    try:
        document = parse(data, expected="a request, beginning with `provisioner: 1`")
    except InvalidDocument as error:
        if error.document is None:
            raise
        document, problems = error.document, [*error.problems]
    model = _model(document, problems)
    if model is None:
        raise InvalidDocument(in_order(problems))
    changed: Changed = {}
    try:
        body = model.model_validate({**document.value, **_meant(document, model)}, context=changed)
    except ValidationError as error:
        found = problems_of(error, document, model)
        rest = _rest(document, model, places_of(error, document))
        raise InvalidFile(in_order([*problems, *found]), rest) from None
    request = _request(body, document)
    if changed:
        request = replace(request, notes=_notes(document, changed))
    if problems:
        raise InvalidFile(in_order(problems), request)
    return request


def _notes(document: Document, changed: Changed) -> tuple[Problem, ...]:
    """Return what was changed in a file's texts, each with its key and line."""
    problems = []
    for path, line in document.lines.items():
        value: Any = document.value
        for part in path:
            value = value[part]
        if isinstance(value, str) and value in changed:
            problems.append(Problem(line, dotted(path), changed[value]))
    return tuple(in_order(problems))


def _meant(document: Document, model: type[Envelope]) -> dict[str, str]:
    """Return version and action as they were probably meant, so that the rest can be read."""
    action = document.value.get("action")
    if isinstance(action, str) and ACTIONS.get(action) is model:
        return {"provisioner": "1"}
    actions = [name for name, other in ACTIONS.items() if other is model]
    return {"provisioner": "1", "action": get_close_matches(str(action), actions, 1, 0.0)[0]}


def _rest(document: Document, model: type[Envelope], wrong: Collection[Path]) -> Request | None:
    """Return a file's request without its wrong keys; None if the others do not make one."""
    value = {**document.value, **_meant(document, model)}
    body = fields.repaired(model, value, wrong)
    return _request(body, document) if isinstance(body, Envelope) else None


def _model(document: Document, problems: list[Problem]) -> type[Envelope] | None:
    """Return the model of the document's action, or of the action that was probably meant.

    Adds what is wrong with version and action to the problems.
    """
    version = document.value.get("provisioner")
    if version != "1":
        line = document.lines.get(("provisioner",), 1)
        why = "missing" if version is None else f"version {_cut(version)} is not known"
        problems.append(Problem(line, "provisioner", why, "1"))
    action = document.value.get("action")
    if isinstance(action, str) and action in ACTIONS:
        return ACTIONS[action]
    known = f"one of {', '.join(ACTIONS)}"
    if action is None:
        problems.append(Problem(1, "action", "missing", known))
        return None
    at = document.lines.get(("action",))
    near = nearest(str(action), ACTIONS)
    problems.append(Problem(at, "action", f"{_cut(action)} is not an action", known, near))
    return ACTIONS.get(near)


def _cut(value: object) -> str:
    """Return a value as a message repeats it: all of it would be kept with each refusal."""
    return repr(phrase(str(value), LONGEST))


def problems_of(
    error: ValidationError, document: Document, model: type[BaseModel]
) -> list[Problem]:
    """Return pydantic's errors as problems with lines and nearest names, in file order."""
    found = sorted(wrongs(error, _placer(document)), key=lambda wrong: _line(wrong.loc, document))
    # One more than are told says that there are more.
    return in_order([_problem(wrong, document, model) for wrong in found[: MOST + 1]])


def places_of(error: ValidationError, document: Document) -> frozenset[Path]:
    """Return the places of pydantic's errors."""
    return frozenset(wrong.loc for wrong in wrongs(error, _placer(document)))


def _placer(document: Document) -> Callable[[Path, bool], Path]:
    return lambda loc, last: _known_path(loc, last, document)


def _problem(wrong: Wrong, document: Document, model: type[BaseModel]) -> Problem:
    path = wrong.loc
    key = dotted(path)
    line = _line(path, document)
    if wrong.kind == "unknown":
        names = sorted(fields.names(model, path[:-1]))
        near = nearest(str(path[-1]), names)
        return Problem(
            line,
            key,
            wrong.message,
            f"one of {', '.join(names)}" if names else "no such key",
            near,
        )
    return Problem(
        line, key, wrong.message, wrong.expected or _expected(model, path), wrong.nearest
    )


def _line(path: Path, document: Document) -> int:
    """Return the line of a key, or of the nearest one around it."""
    lines = document.lines
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)


def _known_path(loc: Path, last: bool, document: Document) -> Path:
    """Return a location without parts that are not keys of the document (members of a union).

    last: True if its last part is a key, even if the document does not have it.
    """
    end = len(loc) - 1 if last else None
    path: Path = ()
    for number, part in enumerate(loc):
        if (*path, part) in document.lines or number == end:
            path = (*path, part)
    return path


def _expected(model: type[BaseModel], path: Path) -> str:
    field = fields.at(model, path)
    return expected(field, entry=isinstance(path[-1], int)) if field is not None else ""


def _request(body: Envelope, document: Document) -> Request:
    values = body.expressions()
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
        ends=vars(body).get("ends"),
        adopt=body.adopt,
        replaces=body.replaces,
        resource=body.resource_name(),
        users=body.user_names(),
        users_file=body.users_in(),
        resource_key=body.resource_key(),
        places=body.places(),
        lines=document.lines,
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
"""How an editor may read a value of a type: to it `id: 42` is a number, to us text."""


def _widen(schema: Any) -> None:
    """Let every type also admit what an editor may read a valid value as, and no more."""
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
    """Return how an editor may read a text: `017` is a number to it, and a code to us."""
    if "format" in schema:
        return {}
    pattern = schema.get("pattern", "")
    types = ["string"]
    number = any(re.search(pattern, "1" * length) for length in (1, 64))
    types += ["number"] if number else []
    types += ["boolean"] if re.search(pattern, "true") else []
    return {"type": types, **({} if not number or re.search(pattern, "-1") else {"minimum": 0})}
