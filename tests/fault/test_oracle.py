"""Whatever is asked for, held, cancelled, damaged or killed: the oracle says what must exist.

`make fault` plays 2,000 sequences, `make test` a sample; `python -m tests.fault.model FIRST COUNT`
plays others. Sequences that failed once are pinned below, named after what they were about.
"""

from __future__ import annotations

import os

import pytest

from tests.fault.model.play import WALK, WEIGHTS, play, played
from tests.fault.walks import Event, Mismatch

SEEDS = range(2000 if os.environ.get("PROVISIONER_FAULT") == "whole" else 24)

PINNED: dict[str, list[Event]] = {
    "a request that failed gets nothing back that had ended without being made": [
        ("person", "ann", "1002"),
        ("steer", "cancel", 4),
        ("move", 3, [], "5", "6"),
        ("share", 3, ["cem", "dan"], "1", "9"),
        ("drain",),
        ("steer", "cancel", 1),
    ],
    "holding nobody gives a waiting request no want that began only after nobody had it": [
        ("share", 2, ["bob", "cem", "dan"], "8", "3"),
        ("project", "cf1", ["ann", "bob", "cem"]),
        ("damage", "remove", 0.5365168744033485),
        ("away", "fs"),
        ("seat", 2, "dan"),
        ("person", "dan", "1001"),
        ("suspend", "user:ann"),
        ("share", 2, [], "", ""),
        ("steer", "hold", 4),
        ("drain",),
        ("share", 2, ["ann", "bob", "cem"], "4", ""),
        ("steer", "hold", 5),
    ],
    "who is suspended is out though only a claim that waits has their association": [
        ("person", "ann", "1001"),
        ("share", 2, ["ann"], "", ""),
        ("drain",),
        ("away", "nss"),
        ("share", 2, [], "", ""),
        ("share", 2, ["ann"], "", ""),
        ("drain",),
        ("suspend", "user:ann"),
        ("drain",),
    ],
    "who is resumed while their claim waits is in when it begins": [
        ("person", "ann", "1001"),
        ("share", 2, ["ann"], "", ""),
        ("drain",),
        ("away", "nss"),
        ("suspend", "user:ann"),
        ("share", 2, [], "", ""),
        ("share", 2, ["ann"], "", ""),
        ("drain",),
        ("resume", "user:ann"),
        ("drain",),
        ("back",),
        ("drain",),
    ],
    "what another had set before us comes back when it is left out": [
        ("share", 1, [], "", ""),
        ("damage", "other", 0.9),
        ("share", 1, [], "4", "5"),
        ("drain",),
        ("share", 1, [], "", ""),
    ],
    "what another has set since stays when it is left out": [
        ("share", 1, [], "4", "5"),
        ("drain",),
        ("share", 1, [], "", ""),
        ("drain",),
        ("damage", "other", 0.9),
        ("share", 1, [], "", ""),
        ("suspend", "allocation:1"),
        ("drain",),
        ("resume", "allocation:1"),
    ],
    "a manifest sees a quota that an open request says otherwise": [
        ("manifest", [(3, [], "3", "")]),
        ("manifest", [(2, ["ann", "cem", "dan"], "1", ""), (3, [], "", "")]),
    ],
    "a manifest sees a quota that is otherwise": [
        ("share", 3, ["ann"], "3", ""),
        ("drain",),
        ("manifest", [(3, ["ann"], "5", "")]),
    ],
    "who was left out by two is back when both are held or cancelled": [
        ("share", 3, ["bob", "dan"], "7", "4"),
        ("manifest", [(3, [], "2", "5")]),
        ("person", "bob", "1003"),
        ("manifest", [(3, [], "3", "8")]),
        ("steer", "hold", 2),
        ("steer", "cancel", 0),
    ],
    "what another had made of an object makes no claim of a held request on it": [
        ("share", 1, ["ann", "bob", "cem"], "1", "9"),
        ("person", "ann", "1002"),
        ("drain",),
        (
            "manifest",
            [(1, ["bob", "dan"], "8", "9"), (3, ["ann", "cem", "dan"], "9", "4")],
        ),
        ("person", "bob", "1002"),
        ("seat", 1, "dan"),
        ("steer", "hold", 2),
        ("manifest", [(2, ["bob", "cem", "dan"], "9", "8")]),
    ],
    "nobody has what a cancelled request had asked for before one that is held": [
        ("share", 3, ["ann", "cem"], "1", "3"),
        ("drain",),
        ("share", 3, ["ann", "cem"], "2", "5"),
        ("steer", "cancel", 1),
        ("steer", "hold", 0),
        ("person", "cem", "1002"),
    ],
    "a retry after a resume first makes what the suspension kept from being made": [
        ("share", 1, [], "2", ""),
        ("suspend", "allocation:1"),
        ("drain",),
        ("resume", "allocation:1"),
        ("steer", "retry", 0),
    ],
    "what is left out while it is closed goes back when it opens": [
        ("share", 1, [], "4", "5"),
        ("drain",),
        ("suspend", "allocation:1"),
        ("drain",),
        ("share", 1, [], "", "5"),
        ("drain",),
        ("resume", "allocation:1"),
    ],
    "a removal of what only waits is over at once, its backend away or not, and stays so": [
        ("manifest", [(1, ["ann", "bob", "dan"], "1", "7"), (3, ["ann", "cem"], "6", "8")]),
        ("steer", "hold", 5),
        (
            "manifest",
            [
                (1, ["bob", "cem", "dan"], "7", "9"),
                (2, ["bob", "cem", "dan"], "6", "7"),
                (3, [], "2", "4"),
            ],
        ),
        ("person", "bob", "1003"),
        ("steer", "release", 3),
        ("away", "slurm"),
        ("share", 2, [], "2", "6"),
        ("drain",),
        ("steer", "hold", 0),
        ("unseat", 1, "bob"),
    ],
    "what was looked at while nobody wanted it is nobody's when its request is cancelled": [
        ("share", 2, [], "7", "5"),
        ("steer", "hold", 0),
        ("reconcile",),
        ("drain",),
        ("share", 2, [], "4", "4"),
        ("steer", "cancel", 0),
    ],
    "what was made before a cancellation stays after a retry that is cancelled too": [
        ("share", 3, ["bob"], "2", "7"),
        ("drain",),
        ("steer", "cancel", 0),
        ("steer", "retry", 0),
        ("steer", "cancel", 0),
    ],
    "what is released goes on": [
        ("share", 2, ["ann"], "7", "5"),
        ("steer", "hold", 0),
        ("reconcile",),
        ("steer", "release", 0),
        ("drain",),
        ("person", "ann", "1001"),
        ("drain",),
    ],
    "a reconcile makes nothing of what is held": [
        ("away", "groups"),
        ("away", "slurm"),
        ("share", 3, [], "1", "4"),
        ("steer", "hold", 0),
        ("back",),
        ("reconcile",),
        ("drain",),
    ],
    "a suspension makes nothing of what is held": [
        ("share", 3, ["ann"], "1", "4"),
        ("drain",),
        ("away", "slurm"),
        ("share", 3, ["ann"], "1", "8"),
        ("steer", "hold", 0),
        ("back",),
        ("suspend", "user:ann"),
        ("resume", "user:ann"),
        ("drain",),
    ],
    "a manifest asks for nothing of what is held": [
        ("away", "groups"),
        ("away", "slurm"),
        ("share", 3, [], "1", "4"),
        ("steer", "hold", 0),
        ("back",),
        ("manifest", [(3, [], "1", "4")]),
        ("drain",),
    ],
    "who waits comes in though another waited with them and was cancelled": [
        ("share", 2, ["bob"], "1", "1"),
        ("drain",),
        ("share", 2, ["bob", "cem"], "1", "1"),
        ("drain",),
        ("reconcile",),
        ("drain",),
        ("steer", "cancel", 0),
        ("person", "bob", "1001"),
        ("drain",),
    ],
    "what was made stays made over a cancel, a retry and one more cancel": [
        ("share", 3, ["bob", "cem"], "7", "5"),
        ("drain",),
        ("share", 3, ["bob"], "2", "7"),
        ("drain",),
        ("steer", "cancel", 2),
        ("steer", "retry", 2),
        ("steer", "cancel", 0),
    ],
    "an allocation that another shares is open though its change was held while suspended": [
        ("seat", 2, "bob"),
        ("share", 1, ["ann", "bob", "cem"], "8", "7"),
        ("drain",),
        ("suspend", "user:ann"),
        ("suspend", "allocation:2"),
        ("share", 2, ["ann"], "4", "3"),
        ("unseat", 1, "dan"),
        ("steer", "hold", 3),
    ],
    "what another has set of a value that nobody names stays, whoever sets it next": [
        ("manifest", [(1, ["ann", "bob"], "", "8"), (2, ["ann", "bob", "dan"], "", "")]),
        ("damage", "other", 0.10666053640473205),
        ("damage", "value", 0.2200825316285434),
    ],
    "a manifest asks anew for what a suspension kept a failed request from making": [
        ("suspend", "allocation:3"),
        ("share", 3, [], "9", ""),
        ("drain",),
        ("resume", "allocation:3"),
        ("manifest", [(3, [], "9", "")]),
    ],
    "a manifest asks anew for what waits for a failed request, though a user left meanwhile": [
        ("suspend", "allocation:3"),
        ("share", 3, ["ann", "bob"], "9", ""),
        ("unseat", 3, "bob"),
        ("drain",),
        ("manifest", [(3, ["ann"], "6", "")]),
    ],
    "what another has set of a value is lost with its object": [
        ("share", 1, ["bob"], "", "4"),
        ("damage", "other", 0.14875592445346209),
        ("damage", "remove", 0.014719374667098384),
    ],
    "who is released too late is out when what left them out is cancelled": [
        ("seat", 3, "bob"),
        ("steer", "hold", 3),
        ("share", 3, ["dan"], "2", ""),
        ("steer", "release", 1),
        ("drain",),
        ("steer", "cancel", 1),
    ],
    "who is released too late is out when what left them out is held": [
        ("manifest", [(1, ["bob", "cem", "dan"], "", "")]),
        ("steer", "hold", 3),
        ("share", 1, ["ann", "cem", "dan"], "2", "3"),
        ("steer", "release", 0),
        ("drain",),
        ("steer", "hold", 4),
    ],
    "who is released in time is in when what left them out is cancelled": [
        ("manifest", [(1, [], "9", "3"), (2, ["ann", "bob", "cem"], "1", ""), (3, [], "4", "9")]),
        ("drain",),
        ("steer", "hold", 5),
        ("share", 2, ["dan"], "3", ""),
        ("steer", "release", 2),
        ("person", "bob", "1003"),
        ("steer", "cancel", 1),
    ],
    "who came in while they were left out by what was held stays in when it is held again": [
        ("person", "bob", "1002"),
        ("drain",),
        ("share", 3, [], "2", ""),
        ("drain",),
        ("seat", 3, "bob"),
        ("steer", "hold", 0),
        ("share", 3, ["dan"], "2", ""),
        ("steer", "hold", 0),
        ("steer", "release", 1),
        ("drain",),
        ("steer", "release", 0),
        ("steer", "hold", 0),
    ],
    "what stood before the first claim comes back after an allocation moved away and home": [
        ("share", 3, [], "", ""),
        ("damage", "other", 0.0),
        ("share", 3, [], "4", "5"),
        ("drain",),
        ("move", 3, [], "", ""),
        ("drain",),
        ("share", 3, [], "7", "7"),
        ("drain",),
        ("share", 3, [], "", ""),
    ],
    "an allocation that was to move is at home when that is cancelled before its storage answers": [
        ("share", 1, ["bob"], "4", "5"),
        ("drain",),
        ("away", "fs"),
        ("move", 1, ["ann"], "3", "2"),
        ("drain",),
        ("steer", "cancel", 0),
    ],
    "who left a project by its archival is in the group by their allocation": [
        ("person", "bob", "1002"),
        ("project", "cf1", ["ann", "bob"]),
        ("share", 1, ["bob"], "4", "5"),
        ("drain",),
        ("archive", "cf1"),
    ],
    "whom a move has taken out stays out when it is held, though an earlier leaving out is held": [
        ("person", "ann", "1001"),
        ("share", 1, ["ann"], "", ""),
        ("drain",),
        ("share", 1, ["bob"], "", ""),
        ("steer", "hold", 0),
        ("move", 1, ["cem"], "", ""),
        ("drain",),
        ("steer", "hold", 0),
    ],
    "a suspension that was asked for twice stays when the first request for it is cancelled": [
        ("share", 3, ["bob"], "", "2"),
        ("suspend", "allocation:3"),
        ("suspend", "allocation:3"),
        ("steer", "cancel", 1),
    ],
    "who never had anything comes in after all when what left them out is cancelled": [
        ("seat", 2, "dan"),
        ("share", 2, ["bob"], "2", ""),
        ("steer", "hold", 5),
        ("person", "dan", "1001"),
        ("drain",),
        ("steer", "release", 2),
        ("steer", "cancel", 2),
    ],
    "who was left out by what is released comes in no sooner than the newer request begins": [
        ("share", 2, ["ann", "bob", "dan"], "5", "1"),
        ("manifest", [(1, ["cem"], "", "3")]),
        ("drain",),
        ("manifest", [(2, ["dan"], "", "4")]),
        ("share", 2, ["ann", "dan"], "7", "1"),
        ("steer", "hold", 2),
        ("steer", "release", 4),
    ],
    "who was taken out of a part by what is held does not get what had not begun": [
        ("share", 2, ["ann"], "8", ""),
        ("share", 3, ["ann"], "", ""),
        ("away", "slurm"),
        ("share", 2, [], "", "2"),
        ("drain",),
        ("steer", "hold", 0),
        ("share", 3, [], "", "1"),
    ],
    "who was left out by what is released comes in no sooner than a request sent meanwhile": [
        ("share", 2, ["ann", "bob", "dan"], "5", "1"),
        ("manifest", [(1, ["cem"], "", "3")]),
        ("drain",),
        ("manifest", [(2, ["dan"], "", "4")]),
        ("steer", "hold", 1),
        ("share", 2, ["ann", "dan"], "7", "1"),
        ("steer", "release", 4),
    ],
}


@pytest.mark.parametrize("events", PINNED.values(), ids=PINNED)
def test_what_went_wrong_once_ends_as_the_oracle_says(events: list[Event]) -> None:
    play(events)


def test_every_sequence_ends_as_the_oracle_says() -> None:
    done, failed = WALK.report(SEEDS)
    assert not failed, "\n\n".join(failed)
    # One that never comes to pass is not tested.
    assert done.keys() >= {*WEIGHTS, "hold", "release", "cancel", "retry"}


def test_a_backend_that_has_something_else_is_told() -> None:
    with played([("share", 1, [], "1", "4")]) as game:
        game.site.world.rows["slurm/account/cf1"]["value"] = "5"
        with pytest.raises(Mismatch, match=r"the oracle says .True, '4'., there is .True, '5'."):
            game.compare()
