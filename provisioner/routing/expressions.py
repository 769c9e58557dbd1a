"""Templates: Jinja2 expressions of the configuration over the values of a request.

Promises: only expressions of the configuration are evaluated, in Jinja2's sandbox, never text of a
request; a whole `{{ expression }}` keeps its type, and no absent value becomes part of a text. A
text is compiled once in a process. Leaves out: which values exist (`router`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

from provisioner.contract import ConfigError, InvalidRequest, KnownAfter

Values = Mapping[str, Any]
Compiled = Callable[[Values], Any]
"""Renders one value. Raises InvalidRequest that names the expression."""

_WHOLE = re.compile(r"\s*\{\{((?:(?!\{\{|\}\}).)*)\}\}\s*\Z", re.DOTALL)
_DOTTED = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\s*\Z")
_CONSTANTS = {"true", "false", "none", "True", "False", "None"}
_EXPRESSION = re.compile(r"\{\{[-+]?(.*?)[-+]?\}\}", re.DOTALL)
_MISSING = object()
_LONGEST = 300
"""The most characters of a template that a message shows."""


class _Late(Exception):
    """An expression used a value that is known only after a step."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


class _Absent(Exception):
    """An expression inside a text has no value."""


class Pending(Mapping[str, Any]):
    """The output of a step that is not done: no value of it is known yet."""

    def __init__(self, step: str) -> None:
        self.step = step

    def __getitem__(self, name: str) -> Any:
        raise _Late(self.step)

    def __iter__(self) -> Any:
        raise _Late(self.step)

    def __len__(self) -> int:
        raise _Late(self.step)


class _Environment(ImmutableSandboxedEnvironment):
    """Looks attributes up as keys: values are plain data, and expressions may not call their
    methods."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


def _given(value: Any) -> Any:
    """Return a value for use in a text. Raises _Absent for None: `/home/None` is nobody's home."""
    if value is None:
        raise _Absent
    return value


_ENVIRONMENT = _Environment(
    undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=_given
)


def _first(*values: Any) -> Any:
    """Return the first value that is not None: `{{ first(steps.a.output.uid, user.uid) }}`."""
    return next((value for value in values if value is not None), None)


_ENVIRONMENT.globals = {"first": _first, "range": safe_range}


def compile_value(template: object) -> Compiled:
    """Return a compiled parameter: text with expressions, a whole expression, or a tree of them.

    Raises ConfigError for an invalid expression.
    """
    if isinstance(template, str):
        return _compile_text(template)
    if isinstance(template, Mapping):
        inner = {str(key): compile_value(value) for key, value in template.items()}
        return lambda values: {key: each(values) for key, each in inner.items()}
    if isinstance(template, list | tuple):
        items = [compile_value(value) for value in template]
        return lambda values: [each(values) for each in items]
    return lambda values: template


@lru_cache(maxsize=512)
def _compile_text(text: str) -> Compiled:
    if "{{" not in text and "{%" not in text:
        return lambda values: text
    whole = _WHOLE.match(text)
    if whole is not None and _DOTTED.match(whole[1]) and whole[1].strip() not in _CONSTANTS:
        return _dotted(whole[1].strip(), text)
    try:
        if whole is not None:
            expression = _ENVIRONMENT.compile_expression(whole[1], undefined_to_none=False)
            return lambda values: _evaluate(lambda: expression(**values), text, values)
        template = _ENVIRONMENT.from_string(text)
    except TemplateError as error:
        raise ConfigError(f"{text!r} is not a template: {error}") from None
    return lambda values: _evaluate(lambda: template.render(values), text, values)


def _dotted(name: str, text: str) -> Compiled:
    """Return a lookup of a dotted name without Jinja2, which costs 12 us for each expression."""
    names = name.split(".")

    def follow(values: Values) -> Any:
        current: Any = values
        try:
            for part in names:
                current = current.get(part, _MISSING) if type(current) is dict else current[part]
                if current is _MISSING:
                    raise KeyError(part)
        except _Late as late:
            return KnownAfter(late.step)
        except (KeyError, TypeError, IndexError):
            raise InvalidRequest(f"{text}: there is no {part!r}", expected="a value") from None
        return KnownAfter(current.step) if isinstance(current, Pending) else current

    return follow


def _evaluate(render: Callable[[], Any], text: str, values: Values) -> Any:
    try:
        result = render()
        if isinstance(result, Undefined):
            str(result)  # raises, and names what is missing
    except _Late as late:
        return KnownAfter(late.step)
    except _Absent:
        raise _nothing(text, values) from None
    except UndefinedError as error:
        raise InvalidRequest(f"{_shown(text)}: {error}", expected="a value") from None
    except Exception as error:
        raise InvalidRequest(f"{_shown(text)}: {type(error).__name__}: {error}") from None
    return KnownAfter(result.step) if isinstance(result, Pending) else result


def _nothing(text: str, values: Values) -> InvalidRequest:
    """Return a fault that names the expressions of a text without a value; not those inside a
    loop."""
    absent = []
    for match in _EXPRESSION.finditer(text):
        try:
            expression = _ENVIRONMENT.compile_expression(match[1], undefined_to_none=False)
            if expression(**values) is None:
                absent.append(match[1].strip())
        except Exception:  # this expression is not the cause
            continue
    return InvalidRequest(
        f"{_shown(text)}: {', '.join(absent) or 'an expression'} has no value",
        expected="a value, because it is part of a text",
    )


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def render_text(template: str, values: Values) -> str:
    """Return a rendered text of the configuration or of a template file.

    Raises ConfigError for an invalid template, InvalidRequest for a missing value.
    """
    value = _compile_text(template)(values)
    if value is None:
        raise _nothing(template, values)
    return str(value)


def reads(template: object) -> list[tuple[str, ...]]:
    """Return the dotted names that a parameter's expressions read, in order.

    Raises ConfigError for an invalid expression.
    """
    if isinstance(template, str):
        return list(_reads(template))
    parts: Sequence[object] = ()
    if isinstance(template, Mapping):
        parts = tuple(template.values())
    elif isinstance(template, list | tuple):
        parts = template
    return [name for part in parts for name in reads(part)]


@lru_cache(maxsize=512)
def _reads(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(_names(_parsed(text))) if "{" in text else ()


def _parsed(text: str) -> nodes.Template:
    try:
        return _ENVIRONMENT.parse(text)
    except TemplateError as error:
        raise ConfigError(f"{text!r} is not a template: {error}") from None


def _names(node: nodes.Node) -> Iterator[tuple[str, ...]]:
    name = _name(node)
    if name:
        yield name
        return
    for inner in node.iter_child_nodes():
        yield from _names(inner)


def _name(node: nodes.Node) -> tuple[str, ...]:
    """Return a dotted name; () for any other expression."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        above, last = _name(node.node), node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        above, last = _name(node.node), str(node.arg.value)
    else:
        return ()
    return (*above, last) if above else ()


def references(template: object) -> frozenset[str]:
    """Return the steps whose outputs a parameter uses: `steps.NAME.output`, `steps['NAME'].output`.

    Raises ConfigError if `steps` is used in any other way.
    """
    if isinstance(template, str):
        return _references(template)
    parts: Sequence[object] = ()
    if isinstance(template, Mapping):
        parts = tuple(template.values())
    elif isinstance(template, list | tuple):
        parts = template
    return frozenset().union(*(references(part) for part in parts))


@lru_cache(maxsize=512)
def _references(text: str) -> frozenset[str]:
    if "{" not in text:
        return frozenset()
    tree = _parsed(text)
    lookups: list[tuple[nodes.Node, nodes.Node, str]] = [
        (node, node.node, node.attr) for node in tree.find_all(nodes.Getattr)
    ]
    lookups += [
        (node, node.node, str(node.arg.value))
        for node in tree.find_all(nodes.Getitem)
        if isinstance(node.arg, nodes.Const)
    ]
    asked = {id(base) for _, base, name in lookups if name == "output"}
    used = {id(base): name for node, base, name in lookups if id(node) in asked}
    mentioned = [name for name in tree.find_all(nodes.Name) if name.name == "steps"]
    if any(id(name) not in used for name in mentioned):
        raise ConfigError(
            f"{text!r} uses `steps` for something other than a step's output",
            advice="write `steps.NAME.output.WHAT`",
        )
    return frozenset(used[id(name)] for name in mentioned)
