"""An error is kept as it was said, and read back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.contract import Conflict, Fault, InvalidRequest, Key
from provisioner.objects.errors import Error

ERRORS: dict[str, tuple[Fault, Key, Error]] = {
    "of an object": (
        Conflict("not ours", advice="look"),
        "x/y/z",
        Error(type="Conflict", message="not ours", advice="look", object="x/y/z"),
    ),
    "of a parameter": (
        InvalidRequest("too long", field="title"),
        "",
        Error(type="InvalidRequest", message="too long", field="title"),
    ),
}


@pytest.mark.parametrize(("fault", "key", "error"), ERRORS.values(), ids=ERRORS)
def test_what_a_fault_says_is_kept(fault: Fault, key: Key, error: Error) -> None:
    found = Error.of(fault, key)
    assert replace(found, advice=error.advice) == error


@pytest.mark.parametrize("error", [one for *_, one in ERRORS.values()], ids=ERRORS)
def test_what_was_written_is_read_back(error: Error) -> None:
    assert Error.read(error.words()) == error


def test_what_an_older_journal_lacks_is_empty() -> None:
    assert Error.read({"message": "m", "more": "x"}) == Error(type="", message="m")
    assert Error(type="t", message="m").words() == {"type": "t", "message": "m", "advice": ""}
