"""Very many mistakes: a file has a limited number of them, and finding them takes one pass."""

from __future__ import annotations

import pytest

from provisioner.request import documents, fields
from provisioner.request.actions import ACTIONS
from provisioner.request.documents import KEY, InvalidDocument, Problem, parse
from provisioner.request.places import MORE, MOST, Path, in_order
from provisioner.request.request import parse_request


class Asked(frozenset[Path]):
    """Places that count how often somebody asks whether one is among them."""

    times = 0

    def __contains__(self, place: object) -> bool:
        self.times += 1
        return super().__contains__(place)


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidDocument) as raised:
        parse_request(text.encode())
    return raised.value.problems


def test_the_first_of_many_keys_that_are_there_twice_are_told() -> None:
    told = problems("x: {" + "a: 1,\n  " * (MOST + 10) + "}")
    assert (len(told), told[-1]) == (MOST + 1, MORE)


def test_the_first_of_many_wrong_values_are_told() -> None:
    users = "".join(f"    - A{number}\n" for number in range(MOST + 10))
    told = problems(f"provisioner: 1\naction: project.provision\nproject:\n  users:\n{users}")
    assert [problem.key for problem in told[:2]] == ["project.code", "project.users[1]"]
    assert (len(told), told[-1]) == (MOST + 1, MORE)


def test_that_there_are_more_mistakes_is_said_once() -> None:
    some = [Problem(number, "x", "wrong") for number in range(MOST + 5)]
    assert in_order([*in_order(some), *in_order(some[3:])]) == [*some[:MOST], MORE]


def test_a_key_that_each_mistake_below_it_would_repeat_is_not_long() -> None:
    assert parse(b'"' + b"k" * KEY + b'": x').value == {"k" * KEY: "x"}
    [told] = problems("? " + "k" * (KEY + 1) + "\n: {a: 1, a: 1, a: 1}")
    assert str(told) == f"line 1: a key has {KEY + 1} characters; expected at most {KEY}"


def test_wrong_entries_are_replaced_by_a_right_one_in_one_pass() -> None:
    wrong = Asked([("project", "users", number) for number in range(100)])
    names = [f"A{number}" for number in range(100)] + ["jdoe", "asmith"]
    value = {"provisioner": "1", "action": "project.provision"}
    project = {"code": "CF3", "users": names}
    body = fields.repaired(ACTIONS["project.provision"], {**value, "project": project}, wrong)
    assert body is not None
    assert body.model_dump()["project"]["users"] == ("jdoe",) * 101 + ("asmith",)
    assert wrong.times == 0


LONG = "x" * 60_000


@pytest.mark.parametrize(
    "text",
    [
        f"provisioner: 1\naction: {LONG}\n",
        f"provisioner: {LONG}\naction: reconcile\n",
        f"provisioner: !{LONG} 1\n",
        f"provisioner: *{LONG}\n",
    ],
    ids=["action", "version", "tag", "alias"],
)
def test_a_message_repeats_the_beginning_of_a_long_value(text: str) -> None:
    assert max(len(problem.message) for problem in problems(text)) < 150


def test_long_texts_are_not_kept_after_they_are_written() -> None:
    before = documents._known.cache_info().currsize
    assert documents.dump({"short one": LONG}) == f"short one: {LONG}\n"
    assert documents._known.cache_info().currsize <= before + 1
