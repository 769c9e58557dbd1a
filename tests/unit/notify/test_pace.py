"""How many mails go at once, to one address and to all."""

from __future__ import annotations

import pytest

from provisioner.journal.outbox.messages import MAIL, Message
from provisioner.notify.pace import delay, plan
from provisioner.objects.states import MessageState


def mails(address: str, number: int) -> list[Message]:
    return [
        Message(
            id=f"{address}{n}",
            channel=MAIL,
            event="digest",
            person=address,
            address=address,
            subject="",
            facts={},
            state=MessageState.WAITING,
            made=float(n),
            due=0.0,
        )
        for n in range(number)
    ]


# waiting for a and b; sent to a and b; single mails, summaries, those that wait
TABLE = [
    ((3, 2), (0, 0), (5, [], 0)),
    ((4, 0), (0, 0), (4, [], 0)),
    ((5, 0), (0, 0), (0, [5], 0)),
    ((2, 2), (3, 0), (2, [2], 0)),
    ((5, 1), (4, 0), (1, [], 5)),
    ((3, 3), (0, 4), (0, [3], 3)),
]


@pytest.mark.parametrize(("waiting", "sent", "made"), TABLE)
def test_more_than_an_address_gets_in_an_hour_becomes_one(
    waiting: tuple[int, int], sent: tuple[int, int], made: tuple[int, list[int], int]
) -> None:
    times = {"a": [0.0] * sent[0], "b": [0.0] * sent[1]}
    due = [*mails("a", waiting[0]), *mails("b", waiting[1])]
    planned = plan(due, times, per_recipient=4, in_all=6)
    assert (len(planned.single), [len(some) for some in planned.merged], planned.wait) == made


def test_all_together_get_no_more_than_the_sites_limit() -> None:
    waiting = [mail for name in "abcdefgh" for mail in mails(name, 3)]
    made = plan(waiting, {}, per_recipient=10, in_all=5)
    assert len(made.single) + len(made.merged) == 5
    assert made.wait == 9


@pytest.mark.parametrize("other", ["Ann@x.test", "ann@X.Test", "ANN@X.TEST"])
def test_one_mailbox_in_other_letters_is_one_address(other: str) -> None:
    due = [*mails("ann@x.test", 2), *mails(other, 3)]
    made = plan(due, {}, per_recipient=4, in_all=10)
    assert (made.single, [len(some) for some in made.merged]) == ([], [5])
    full = plan(due, {"ann@x.test": [0.0] * 4}, per_recipient=4, in_all=10)
    assert (full.single, full.merged, full.wait) == ([], [], 5)


def test_a_summary_has_no_more_lines_than_are_read() -> None:
    made = plan(mails("a", 101), {}, per_recipient=10, in_all=10)
    assert ([len(some) for some in made.merged], made.wait) == ([100], 1)


def test_a_summary_tells_the_oldest_first_whosever_turn_it_is() -> None:
    [made] = plan(mails("a", 5)[::-1], {}, per_recipient=4, in_all=10).merged
    assert [message.made for message in made] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_tries_come_less_and_less_often() -> None:
    assert [delay(n) for n in (0, 1, 2, 7, 100)] == [30.0, 60.0, 120.0, 3600.0, 3600.0]
