"""Numbers out of a range, taken by several writers at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.text import Entry
from handlers.ldap.numbers import numbers as numbers_module
from handlers.ldap.numbers.ids import Ids, Named
from handlers.ldap.numbers.notes import BLOCK
from handlers.ldap.numbers.numbers import Bearing, Numbers, Taken
from handlers.ldap.numbers.register import Register
from provisioner.contract import Claim, Permanent, Unavailable
from provisioner.convergence.converge import converge
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, emulated, make


@pytest.fixture(params=[*backends("ad"), *backends("adlds")])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def numbers_of(directory: Backend, first: int = 10_000, last: int = 60_000) -> Numbers:
    ids = Ids.model_validate(directory.ids(first, last))
    bearing = Bearing("uidNumber", directory.base, "cn")
    return Numbers(directory.directory(), ids, bearing, "container")


def given(taken: Taken) -> dict[str, int]:
    """Return the numbers by owner."""
    return {owner: note.number for owner, note in taken.notes.items()}


def named(name: str, number: int) -> Named:
    return Named(f"ad/account/{name}", f"account/{name}", name, number)


def test_four_writers_never_take_one_number(directory: Backend) -> None:
    def writer(number: int) -> list[int]:
        owners = [f"account/w{number}u{n}" for n in range(15)]
        return list(given(numbers_of(directory).take(owners)).values())

    with ThreadPoolExecutor(4) as pool:
        taken = [number for some in pool.map(writer, range(4)) for number in some]
    assert len(set(taken)) == len(taken) == 60


def test_writers_whose_ranges_overlap_never_take_one_number(directory: Backend) -> None:
    firsts = (10_000, 10_007, 10_020, 10_033)

    def writer(place: int) -> list[int]:
        numbers = numbers_of(directory, firsts[place])
        owners = [f"account/w{place}u{n}" for n in range(30)]
        return [
            n for some in (owners[:20], owners[20:]) for n in given(numbers.take(some)).values()
        ]

    with ThreadPoolExecutor(4) as pool:
        taken = [number for some in pool.map(writer, range(4)) for number in some]
    assert len(set(taken)) == len(taken) == 120


def test_a_number_that_a_request_names_while_it_is_taken_is_one_owners(directory: Backend) -> None:
    taking, naming = numbers_of(directory), numbers_of(directory)

    def name(number: int) -> set[int]:
        return {number} - {number for _ in naming.hold([named(f"n{number}", number)]).values()}

    def take(part: int) -> set[int]:
        return set(given(taking.take([f"account/t{part}u{n}" for n in range(8)])).values())

    with ThreadPoolExecutor(4) as pool:
        had = [*pool.map(name, range(10_000, 10_040))], [*pool.map(take, range(5))]
    every = [number for some in (*had[0], *had[1]) for number in some]
    assert len(set(every)) == len(every) >= 40


@pytest.mark.parametrize("behind", ["read first", "noted first"])
def test_who_comes_between_a_reading_and_a_note_is_seen_afterwards(
    directory: Backend, behind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block is noted after another one has read that a number in it is free, or the reverse."""
    taking, naming = numbers_of(directory), numbers_of(directory)
    owners = [f"account/u{n}" for n in range(5)]
    taken: list[Taken] = []

    def note(self: Register, one: Any, write: Any = Register.note) -> None:
        taken.append(taking.take(owners))  # the block, after 10003 was read as free
        write(self, one)

    def add(self: Register, some: Any, write: Any = Register.add) -> None:
        with monkeypatch.context() as undone:
            undone.setattr(Register, "add", write)
            refused.update(naming.hold([named("bob", 10_003)]))
        write(self, some)

    refused: dict[str, Any] = {}
    with monkeypatch.context() as patched:
        if behind == "read first":
            patched.setattr(Register, "note", note)
            refused.update(naming.hold([named("bob", 10_003)]))
        else:
            patched.setattr(Register, "add", add)
            taken.append(taking.take(owners))
    numbers = set(given(taken[0]).values())
    assert len(numbers) == 5
    assert (10_003 in numbers) == bool(refused)


def test_a_thousand_numbers_are_few_entries(directory: Backend) -> None:
    taken = given(numbers_of(directory).take([f"account/u{n}" for n in range(300)]))
    assert sorted(taken.values()) == list(range(10_000, 10_300))
    entries = directory.directory().search(f"OU=ids,{directory.base}", "(cn=1*)", ["cn"])
    assert len(entries) <= 300 / BLOCK + 2


def test_another_writer_goes_on_behind_a_block(directory: Backend) -> None:
    mine, other = numbers_of(directory), numbers_of(directory)
    first = given(mine.take(["account/a", "account/b"]))
    others = given(other.take(["account/c"]))
    again = given(mine.take(["account/d"]))
    assert [first["account/a"], first["account/b"]] == [10_000, 10_001]
    assert (others["account/c"], again["account/d"]) == (10_002, 10_003)


def test_a_retry_finds_its_own(directory: Backend) -> None:
    first = given(numbers_of(directory).take(["account/jdoe", "account/asmith"]))
    again = given(numbers_of(directory).take(["account/jdoe", "account/new"]))
    assert again["account/jdoe"] == first["account/jdoe"]
    assert again["account/new"] not in first.values()


def test_a_settled_number_is_not_given_to_the_next_of_its_name(directory: Backend) -> None:
    numbers = numbers_of(directory)
    first = numbers.take(["account/jdoe"])
    numbers.settle(first)
    assert given(numbers.take(["account/jdoe"])) != given(first)


def test_a_number_that_the_ledger_knows_is_not_the_next_ones_of_its_name(
    directory: Backend,
) -> None:
    """The account was made, and the service died before it noted that."""
    first = given(numbers_of(directory).take(["account/jdoe"]))["account/jdoe"]
    again = numbers_of(directory)
    again.heed(lambda kind, low, high: {first: ["ad/account/jdoe"]} if low <= first <= high else {})
    assert given(again.take(["account/jdoe"]))["account/jdoe"] != first


def test_a_person_with_a_sid_keeps_their_number(directory: Backend) -> None:
    owner, numbers = "account/jdoe/S-1-5-21-1-2-3-1106", numbers_of(directory)
    first = numbers.take([owner])
    numbers.settle(first)
    assert given(numbers.take([owner])) == given(first)


@pytest.mark.parametrize("other", ["takes", "names", "bears"])
def test_a_retry_reads_what_others_noted_before_the_first_try_died(
    directory: Backend, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer comes after our look for free numbers, and we die before we read its note."""
    theirs: set[int] = set()

    def add(self: Register, some: Any, write: Any = Register.add) -> None:
        monkeypatch.undo()
        if other == "takes":
            theirs.update(given(numbers_of(directory, 10_003).take(["account/bob"])).values())
        elif other == "names":
            assert numbers_of(directory).hold([named("bob", 10_003)]) == {}
            theirs.add(10_003)
        else:
            directory.user(directory.name("bob"), uidNumber=10_003, gidNumber=100)
            theirs.add(10_003)
        write(self, some)
        raise Unavailable("away")

    monkeypatch.setattr(Register, "add", add)
    owners = [f"account/u{n}" for n in range(6)]
    with pytest.raises(Unavailable):
        numbers_of(directory).take(owners)
    again = given(numbers_of(directory).take(owners))
    assert theirs == {10_003}
    assert 10_003 not in again.values()
    assert len(set(again.values())) == 6


def test_one_that_cannot_be_made_costs_the_others_of_its_batch_no_second_number(
    tmp_path: Path,
) -> None:
    ad = emulated(tmp_path, "ad")
    own = {"mode": "manage", "domain": "campus.test", "ids": ad.ids()}
    handler = ad_account.build(ad.site("ad"), ad.settings("people", **own))
    names = [f"u{n}" for n in range(16)]
    ad.directory().add(f"CN=u7,OU=people,{ad.base}", {"objectClass": ["top", "container"]})
    wants = [pair for name in names for pair in handler.claims({"name": name}).items()]
    items = [Item(key, (Claim("user:x", want, False),)) for key, want in wants]
    outcomes = converge(handler, items, lambda _: None)
    assert [one.item.key for one in outcomes if one.fault] == ["ad/account/u7"]
    notes = Register(ad.directory(), f"OU=ids,{ad.base}", "container").all()
    assert len(notes) == len(names)
    assert {note.owner for note in notes if note.standing != "used"} == {"account/u7"}


def test_a_number_in_use_without_an_entry_is_left_alone(directory: Backend) -> None:
    directory.user(directory.name("old"), uidNumber=10_000, gidNumber=100)
    directory.user(directory.name("older"), uidNumber=10_002, gidNumber=100)
    taken = given(numbers_of(directory).take(["account/a", "account/b"]))
    assert sorted(taken.values()) == [10_001, 10_003]


@pytest.mark.parametrize(("used", "asked"), [((), [1]), ((10_000,), [1, 47]), ((10_001,), [1])])
def test_as_many_numbers_are_asked_about_as_are_wanted_and_a_block_where_these_are_in_use(
    directory: Backend, used: tuple[int, ...], asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[int] = []
    find = Directory.find

    def seen(self: Directory, attribute: str, values: Any, *rest: Any, **more: Any) -> list[Entry]:
        questions.extend([len(values)] if attribute == "uidNumber" and values else [])
        return find(self, attribute, values, *rest, **more)

    for number in used:
        directory.user(directory.name(f"u{number}"), uidNumber=number, gidNumber=100)
    numbers = numbers_of(directory)
    first = numbers_of(directory).take(["account/other"]) if not used else Taken()
    monkeypatch.setattr(Directory, "find", seen)
    [number] = given(numbers.take(["account/a"])).values()
    assert number not in {*used, *given(first).values()}
    assert questions == asked


@pytest.mark.parametrize(("asked", "come"), [(1, 1), (8, 8), (9, 12)])
def test_a_look_for_a_few_numbers_of_a_block_brings_no_others(
    directory: Backend, asked: int, come: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, came = range(10_050, 10_062), []
    assert numbers_of(directory).hold([named(f"u{n}", n) for n in numbers]) == {}
    find = Directory.find

    def seen(self: Directory, *asked: Any, **more: Any) -> list[Entry]:
        came.extend(found := find(self, *asked, **more))
        return found

    monkeypatch.setattr(Directory, "find", seen)
    register = Register(directory.directory(), f"OU=ids,{directory.base}", "container")
    noted = {note.number for note in register.of_numbers(numbers[-asked:])}
    assert noted == set(numbers[-asked:])
    assert len(came) == come


def test_a_range_that_is_used_up_says_so(directory: Backend) -> None:
    numbers = numbers_of(directory, last=10_001)
    numbers.take(["account/a", "account/b"])
    with pytest.raises(Permanent, match="used up"):
        numbers.take(["account/c"])


def test_a_number_that_was_just_found_free_is_asked_for_once_more_when_it_is_noted(
    directory: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    find = Directory.find

    def seen(self: Directory, attribute: str, values: Any, *rest: Any, **more: Any) -> list[Entry]:
        asked.extend([attribute] if values else [])
        return find(self, attribute, values, *rest, **more)

    monkeypatch.setattr(Directory, "find", seen)
    numbers, bob = numbers_of(directory), [named("bob", 10_003)]
    assert numbers.taken(bob) == {}
    assert numbers.hold(bob) == {}
    assert asked == ["cn", "uidNumber", "cn"]
    asked.clear()
    assert numbers.hold(bob) == {}
    assert asked == ["cn", "uidNumber"]  # what was found serves once, and bob has a note


@pytest.mark.parametrize("other", ["names", "takes"])
def test_who_notes_a_number_after_it_was_found_free_is_seen(directory: Backend, other: str) -> None:
    numbers, bob = numbers_of(directory), [named("bob", 10_000)]
    assert numbers.taken(bob) == {}
    if other == "names":
        assert numbers_of(directory).hold([named("ann", 10_000)]) == {}
    else:
        assert given(numbers_of(directory).take(["account/ann"])) == {"account/ann": 10_000}
    assert [str(fault) for fault in numbers.hold(bob).values()] == [
        "account/bob: uidNumber 10000 is account/ann's"
    ]


@pytest.mark.parametrize("why", ["a moment later", "another number"])
def test_who_bears_a_number_is_looked_for_again(
    directory: Backend, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, bob, eve = numbers_of(directory), named("bob", 10_003), named("eve", 10_004)
    assert numbers.taken([bob]) == {}
    if why == "a moment later":
        monkeypatch.setattr(numbers_module, "_MOMENT", 0.0)
    for number in (10_003, 10_004):
        directory.user(directory.name(f"u{number}"), uidNumber=number, gidNumber=100)
    wanted = [bob] if why == "a moment later" else [bob, eve]
    assert numbers.hold(wanted).keys() == {want.key for want in wanted}


def test_numbers_far_apart_are_held_and_found_as_others_are(directory: Backend) -> None:
    """So many names of entries would have to be asked for that all entries are read."""
    numbers, apart = numbers_of(directory), range(10_063, 16_000, 128)
    wanted = [named(f"u{number}", number) for number in apart]
    assert numbers.hold(wanted) == {}
    others = [named(f"v{number}", number) for number in apart]
    assert numbers.hold(others).keys() == {want.key for want in others}
    assert numbers.hold(wanted) == {}
