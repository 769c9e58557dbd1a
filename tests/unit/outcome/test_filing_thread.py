"""Whose files, results and receipts are seen to next."""

from __future__ import annotations

from provisioner.outcome.filing_thread import portion
from provisioner.system.ulid import RequestId


def waiting(count: int) -> dict[RequestId, None]:
    """Name requests in the order in which they changed."""
    return dict.fromkeys(RequestId(f"id{n}") for n in range(count))


def test_few_are_done_together_in_their_order() -> None:
    assert portion(waiting(4), 4) == ["id0", "id1", "id2", "id3"]


def test_who_comes_last_is_done_in_the_next_portion_however_many_stand_before() -> None:
    assert portion(waiting(100_000), 4) == ["id0", "id1", "id99998", "id99999"]


def test_what_stands_before_is_done_while_others_keep_coming() -> None:
    queue = waiting(1000)
    for came in range(500):
        queue |= dict.fromkeys(RequestId(f"new{came}-{n}") for n in range(4))
        for done in portion(queue, 4):
            del queue[done]
    assert not queue.keys() & waiting(1000).keys()
