"""A blank request for each action, made from the format's own description.

Promises: a blank has every key of its action, each with its meaning; once its needed keys are
filled in, `check` takes it. Leaves out: what a site's routes need beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from provisioner.contract import validation
from provisioner.request.actions import ACTIONS
from provisioner.request.documents import dump

NEEDED = "needed"
"""How the comment of a key begins that must be filled in."""

_HEAD = """\
# {action}: {text}
# Fill in what is needed, and remove the `# ` before what you want; then: provisioner check FILE
"""

_LATER = (
    "id",
    "order",
    "on_behalf_of",
    "reason",
    "expires",
    "not_before",
    "ends",
    "adopt",
    "replaces",
)
"""Keys that every request may have: they stand at the end."""


def blank(action: str) -> str:
    """Return a commented request of an action. Raises KeyError if there is no such action."""
    model = ACTIONS[action]
    text = " ".join((model.__doc__ or "").split())
    fields = model.model_fields
    own = {name: fields[name] for name in fields if name not in (*_LATER, "provisioner", "action")}
    common = {name: fields[name] for name in _LATER if name in fields}
    lines = ["provisioner: 1", f"action: {action}", *_keys(own), "", *_keys(common)]
    return _HEAD.format(action=action, text=text) + "\n".join(lines) + "\n"


def nearest(action: str) -> str:
    """Return the action that was probably meant; '' if none is near."""
    return validation.nearest(action, ACTIONS)


def _keys(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    """Return the lines of a mapping: what is needed first."""
    for name, field in sorted(fields.items(), key=lambda pair: not pair[1].is_required()):
        lines = list(_key(name, field))
        yield from lines if field.is_required() else (f"# {line}" for line in lines)


def _key(name: str, field: FieldInfo) -> Iterator[str]:
    inner = _part(field.annotation)
    if inner is None:
        yield f"{name}:  # {_meaning(field)}"
        return
    about = "; ".join(_words(field)) or " ".join((inner.__doc__ or "").split())
    yield f"{name}:  # {about}"
    yield from (f"  {line}" for line in _keys(inner.model_fields))


def _meaning(field: FieldInfo) -> str:
    words = _words(field)
    choices = _choices(field.annotation)
    words += [f"one of {', '.join(choices)}"] if choices else []
    example = next(iter(field.examples or _examples(field.annotation)), None)
    if example is not None:
        words.append(f"such as {_inline(example)}")
    elif field.annotation is bool:
        words.append("such as true")
    return "; ".join(words)


def _choices(annotation: Any) -> list[str]:
    """Return the texts that a value must be one of; none if it is free."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _examples(annotation: Any) -> list[Any]:
    """Return the examples of a plain value's type."""
    if get_origin(annotation) is Annotated:
        for more in annotation.__metadata__:
            schema = getattr(more, "json_schema", None)
            found = schema.get("examples") if isinstance(schema, dict) else None
            if examples := getattr(more, "examples", None) or found:
                return list(examples)
        return []
    if get_origin(annotation) in (Union, UnionType):
        return [each for part in get_args(annotation) for each in _examples(part)]
    return []


def _words(field: FieldInfo) -> list[str]:
    needed = [NEEDED] if field.is_required() else []
    return [*needed, *([field.description] if field.description else [])]


def _inline(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    return dump(value).strip()


def _part(annotation: Any) -> type[BaseModel] | None:
    """Return the mapping that a field holds; None for a plain value. Of several, the largest."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    parts = filter(None, map(_part, getattr(annotation, "__args__", ())))
    return max(parts, key=lambda part: len(part.model_fields), default=None)
