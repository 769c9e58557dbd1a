"""Numbers out of a range, taken by several writers at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handlers.ldap.numbers.ids import Ids, Numbers
from provisioner.contract import Permanent
from tests.support.ad_backends import Backend, backends, make


@pytest.fixture(params=[*backends("ad"), *backends("adlds")])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def numbers_of(directory: Backend, last: int = 60_000) -> Numbers:
    ids = Ids.model_validate(directory.ids(last=last))
    return Numbers(directory.directory(), ids, "uidNumber", directory.base, "container")


def test_four_writers_never_take_one_number(directory: Backend) -> None:
    def writer(number: int) -> list[int]:
        owners = [f"account/w{number}u{n}" for n in range(15)]
        return list(numbers_of(directory).take(owners).numbers.values())

    with ThreadPoolExecutor(4) as pool:
        taken = [number for some in pool.map(writer, range(4)) for number in some]
    assert len(set(taken)) == len(taken) == 60


def test_a_retry_finds_its_own(directory: Backend) -> None:
    first = numbers_of(directory).take(["account/jdoe", "account/asmith"]).numbers
    again = numbers_of(directory).take(["account/jdoe", "account/new"]).numbers
    assert again["account/jdoe"] == first["account/jdoe"]
    assert again["account/new"] not in first.values()


def test_a_settled_number_is_not_given_to_the_next_of_its_name(directory: Backend) -> None:
    numbers = numbers_of(directory)
    first = numbers.take(["account/jdoe"])
    numbers.settle(first)
    assert numbers.take(["account/jdoe"]).numbers != first.numbers


def test_a_retry_settles_only_its_own(directory: Backend) -> None:
    numbers = numbers_of(directory)
    first = numbers.take(["account/a", "account/b"]).numbers
    numbers.settle(numbers.take(["account/a"]))
    again = numbers.take(["account/a", "account/b"]).numbers
    assert again["account/b"] == first["account/b"]
    assert again["account/a"] not in first.values()


def test_a_number_in_use_without_an_entry_is_left_alone(directory: Backend) -> None:
    directory.user(directory.name("old"), uidNumber=10_000, gidNumber=100)
    directory.user(directory.name("older"), uidNumber=10_002, gidNumber=100)
    taken = numbers_of(directory).take(["account/a", "account/b"]).numbers
    assert sorted(taken.values()) == [10_001, 10_003]


def test_a_range_that_is_used_up_says_so(directory: Backend) -> None:
    numbers = numbers_of(directory, last=10_001)
    numbers.take(["account/a", "account/b"])
    with pytest.raises(Permanent, match="used up"):
        numbers.take(["account/c"])
