"""JSON without spaces is what the library writes, word for word: the chain of events needs it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioner.plain import compact

VALUES = [
    None,
    True,
    0,
    -(2**70),
    1732999999.1234567,
    1e300,
    float("inf"),
    "",
    'a "quoted" one, \\ and \x00, ü, \u2028, \U0001f600 and half a pair \ud800',
    [],
    {},
    ["a", ["b", {}], ("c",)],
    {"present": True, "uid": 4711, "mail": None, "nested": {"z": [1.0, 2], "a": ""}},
    {1: "whole", 1.5: "number", None: "nothing"},
]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_value_is_written_as_the_library_writes_it(value: Any) -> None:
    assert compact.written(value) == json.dumps(value, separators=(",", ":"))


@pytest.mark.parametrize("value", [b"x", {"a": {1, 2}}, object()], ids=type)
def test_what_is_not_json_is_refused_as_the_library_refuses_it(value: Any) -> None:
    with pytest.raises(TypeError) as expected:
        json.dumps(value)
    with pytest.raises(TypeError) as refused:
        compact.written(value)
    assert str(refused.value) == str(expected.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="Circular"):
        compact.written(value)
