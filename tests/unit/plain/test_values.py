"""Values compare, hash and copy by their fields, as the library's frozen dataclasses do."""

from __future__ import annotations

from dataclasses import field, fields, replace

from provisioner.plain.values import value


@value(frozen=True, slots=True)
class Pair:
    first: str
    second: int = 2
    note: str = field(default="", compare=False)


@value(frozen=True, slots=True, kw_only=True)
class Named:
    name: str


def test_equal_fields_are_one_value() -> None:
    assert {Pair("a"), Pair("a", 2, note="other"), Pair("b")} == {Pair("a"), Pair("b")}


def test_a_copy_with_another_field_leaves_the_value_as_it_was() -> None:
    before = Pair("a", 1)
    assert replace(before, second=3) == Pair("a", 3)
    assert before == Pair("a", 1)


def test_a_value_has_no_other_fields() -> None:
    assert not hasattr(Named(name="a"), "__dict__")
    assert [each.name for each in fields(Named)] == ["name"]
