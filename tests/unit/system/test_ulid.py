"""Identifiers: form, order, time."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from provisioner.system import ulid


def test_grows_with_every_call() -> None:
    made = [ulid.new() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_is_unique_across_threads() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(into: list[str]) -> None:
        into.extend(ulid.new() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({text for into in made for text in into}) == 8_000
    assert all(into == sorted(into) for into in made)


def test_goes_on_growing_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ulid.new()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    assert ulid.new() > before


def test_a_forked_child_does_not_give_its_parents_numbers() -> None:
    ulid.new()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(ulid.new() for _ in range(100)).encode())
        os._exit(0)
    theirs = os.read(reader, 2600).decode()
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    ours = {ulid.new() for _ in range(100)}
    assert ours.isdisjoint(theirs[i : i + 26] for i in range(0, 2600, 26))


def test_says_when_it_was_made() -> None:
    now = datetime.now(UTC)
    assert abs(ulid.timestamp(ulid.new()) - now) < timedelta(seconds=10)
    # From the specification of the format.
    assert ulid.timestamp("01ARYZ6S41TSV4RRFFQ69G5FAV") == datetime.fromtimestamp(
        1469918176.385, UTC
    )


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("01ARYZ6S41TSV4RRFFQ69G5FAV", True),
        ("01aryz6s41tsv4rrffq69g5fav", False),
        ("81ARYZ6S41TSV4RRFFQ69G5FAV", False),
        ("01ARYZ6S41TSV4RRFFQ69G5FA", False),
        ("01ARYZ6S41TSV4RRFFQ69G5FAV\n", False),
        ("01ARYZ6S41TSV4RRFFQ69G5FAU", False),
        ("", False),
    ],
)
def test_knows_its_own_form(text: str, verdict: bool) -> None:
    assert ulid.is_ulid(text) is verdict
    if not verdict:
        with pytest.raises(ValueError, match="not a ULID"):
            ulid.timestamp(text)


def test_the_first_of_a_time_stands_before_all_that_are_made_then() -> None:
    made = ulid.new()
    at = ulid.timestamp(made).timestamp()
    assert ulid.first(at) <= made < ulid.first(at + 0.002)
    assert ulid.is_ulid(ulid.first(at))
    assert ulid.first(-1.0) == "0" * ulid.LENGTH


def test_follows_one_of_another_process_whose_clock_was_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ulid, "_sequence", ulid._Sequence())
    ulid.follow("")
    ahead = ulid.first(time.time() + 864_000)
    ulid.follow(ahead)
    made = [ulid.new(), ulid.new()]
    assert ahead < made[0] < made[1]


def test_the_next_identifier_is_the_least_that_is_greater() -> None:
    made = ulid.new()
    assert ulid.after(made) > made
    assert ulid.after(ulid.after(made)) > ulid.after(made)
    assert ulid.timestamp(ulid.after(made)) == ulid.timestamp(made)
