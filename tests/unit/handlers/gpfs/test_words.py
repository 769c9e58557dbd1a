"""A fileset in words: what is in use, and what a smaller quota means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.gpfs.state import Fileset, Wanted
from handlers.gpfs.terms.usage import Grace, Usage
from handlers.gpfs.words import below_use, cuts, described

MIB, TIB = 1024, 1 << 30
USE = Usage(50 * MIB, 0, Grace(), 1234, 0, Grace())
FOUND = Fileset(
    True,
    "fs1",
    "/gpfs/fs1",
    name="cf3",
    block_soft=5 * TIB,
    block_hard=5 * TIB,
    files_soft=2_000_000,
    files_hard=2_000_000,
    usage=USE,
    linked=True,
    path="/gpfs/fs1/cf3",
    gid=3001,
    mode=0o2770,
)
LESS = Wanted("cf3", quota=10 * MIB)


def test_sizes_and_modes_are_as_people_write_them() -> None:
    assert described(FOUND) == {
        "quota": "50 MiB of 5 TiB",
        "files": "1,234 of 2,000,000",
        "path": "/gpfs/fs1/cf3",
        "mode": "2770",
        "owner": "0:3001",
    }


def test_what_has_no_limit_says_so() -> None:
    said = described(replace(FOUND, block_hard=0, files_hard=0))
    assert (said["quota"], said["files"]) == ("50 MiB (no limit)", "1,234 (no limit)")


def test_the_state_has_the_mode_as_people_write_it() -> None:
    assert FOUND.json()["mode"] == "2770"
    assert Fileset.of(FOUND.json()) == FOUND


def test_a_state_that_an_earlier_version_kept_is_read() -> None:
    assert Fileset.of({**FOUND.json(), "mode": 0o2770}) == FOUND


def test_a_quota_below_what_is_in_use_says_what_it_means() -> None:
    assert below_use(LESS, FOUND) == [
        "50 MiB in use, above the quota of 10 MiB: nobody can write until files are removed"
    ]


def test_a_number_of_files_below_what_is_in_use_says_what_it_means() -> None:
    assert below_use(Wanted("cf3", files=1000), FOUND) == [
        "1,234 files in use, above the quota of 1,000: nobody can make files until some are removed"
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "cut"),
    [
        (LESS, FOUND, True),
        (Wanted("cf3", files=1000), FOUND, True),
        (LESS, replace(FOUND, block_hard=0, block_soft=0), True),
        (Wanted("cf3", quota=4 * TIB), FOUND, False),
        (Wanted("cf3", quota=40 * MIB), replace(FOUND, block_hard=10 * MIB), False),
        (LESS, replace(FOUND, usage=None), False),
        (replace(LESS, closed=True), FOUND, False),
    ],
)
def test_a_cut_is_a_smaller_limit_below_what_is_in_use(
    wanted: Wanted, found: Fileset, cut: bool
) -> None:
    assert cuts(wanted, found) == cut
