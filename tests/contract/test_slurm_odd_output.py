"""What sacctmgr prints and cannot be is nobody's state: it is read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import build
from provisioner.contract import Completed, Fault, Unavailable
from provisioner.system import process
from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account

ACCOUNT, USER = "slurm-a/account/cf1", "slurm-a/assoc/cf1/one"


@pytest.mark.parametrize(
    "left",
    [lambda text: "", lambda text: text[: len(text) * 2 // 3], lambda text: "cf1|one||cf1\n"],
    ids=["nothing", "a part of it", "the user's own"],
)
def test_a_list_that_is_not_whole_says_of_nobody_that_they_are_not_there(
    tmp_path: Path, left: Callable[[str], str]
) -> None:
    """Under PrivateData, slurmdbd shows one who is no operator only their own, and exits with 0."""
    cluster = slurm_sites.emulated(tmp_path)
    ledger = Ledger()
    ledger.want(cluster.handler(), "allocation:1", account("cf1"))
    ledger.run(cluster.handler())

    def shown(argv: Sequence[str], **more: Any) -> Completed:
        done = process.run(argv, **more)
        return replace(done, stdout=left(done.stdout)) if "assoc" in argv else done

    handler = build(replace(slurm_sites.site(), run=shown), cluster.settings)
    with pytest.raises(Unavailable):
        handler.observe([ACCOUNT, USER])


@pytest.mark.parametrize("lost", [-1, -2], ids=["its last line", "one before it"])
def test_a_list_that_lost_a_users_line_does_not_say_that_they_are_gone(
    tmp_path: Path, lost: int
) -> None:
    """What `show user withassoc` says of them contradicts it, whichever of the two was cut."""
    cluster = slurm_sites.emulated(tmp_path)
    ledger = Ledger()
    ledger.want(cluster.handler(), "allocation:1", account("cf1"))
    ledger.run(cluster.handler())
    for user in ("one", "two"):
        ledger.want(cluster.handler(), "allocation:1", {"account": "cf1", "user": user})
    ledger.run(cluster.handler())
    both = [USER, "slurm-a/assoc/cf1/two"]
    for cut in (["show", "assoc"], ["show", "user", "withassoc"]):

        def shown(argv: Sequence[str], cut: list[str] = cut, **more: Any) -> Completed:
            done = process.run(argv, **more)
            lines = done.stdout.splitlines(keepends=True)
            if list(argv[2 : 2 + len(cut)]) == cut and len(lines) > 1:
                del lines[lost]
            return replace(done, stdout="".join(lines))

        handler = build(replace(slurm_sites.site(), run=shown), cluster.settings)
        found = handler.observe(both)
        assert sum(isinstance(one, Unavailable) for one in found.values()) == 1
    assert all(not isinstance(one, Fault) for one in cluster.handler().observe(both).values())


@pytest.mark.parametrize(
    ("row", "in_doubt"), [("cf1||", {ACCOUNT, USER}), ("cf1|one|", {USER})], ids=["own", "a user's"]
)
def test_an_association_that_is_printed_twice_makes_its_objects_unread_and_no_others(
    tmp_path: Path, row: str, in_doubt: set[str]
) -> None:
    cluster = slurm_sites.emulated(tmp_path)
    ledger = Ledger()
    ledger.want(cluster.handler(), "allocation:1", account("cf1"), account("cf2"))
    ledger.run(cluster.handler())
    ledger.want(cluster.handler(), "allocation:1", {"account": "cf1", "user": "one"})
    ledger.run(cluster.handler())

    def twice(argv: Sequence[str], **more: Any) -> Completed:
        done = process.run(argv, **more)
        lines = done.stdout.splitlines(keepends=True)
        return replace(done, stdout="".join(x * (1 + (row in x)) for x in lines))

    handler = build(replace(slurm_sites.site(), run=twice), cluster.settings)
    found = handler.observe([ACCOUNT, USER, "slurm-a/account/cf2"])
    assert {key for key, one in found.items() if isinstance(one, Unavailable)} == in_doubt
