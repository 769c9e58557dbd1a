"""Whatever is cut, joined, moved or lost in what mm commands print: no fileset is seen wrongly.

A fileset is told as it is, or is Unavailable. What is decided (creating, limiting, closing) hangs
on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.emulators.gpfs.filesets import COLUMNS
from handlers.gpfs.handler import build
from provisioner.contract import Fault, Key, Site, State, Unavailable
from provisioner.routing.expressions import render_text
from tests.support import mm_output
from tests.support.mm_output import Cluster

KEYS = [f"fs1/fileset/cf{number}" for number in (1, 2, 3, 9)]
COMMANDS = ("mmlsfs", "mmlsfileset", "mmrepquota")
WHOLE = Cluster().prints
JUNK = st.sampled_from(["", "-", "0", "1", "x", "off", "2:1", "fs1", "%2D%2D", "none"])


def observed(cluster: Cluster) -> Mapping[Key, State | Fault]:
    site = Site(
        instance="fs1",
        service="hpc1",
        run=cluster,
        host=None,  # type: ignore[arg-type]
        render=render_text,
        template=lambda name: None,  # type: ignore[arg-type, return-value]
        secret=lambda name: "",
    )
    return build(site, {"filesystem": "fs1"}).observe(KEYS)


TRUTH = observed(Cluster())


def test_the_whole_output_says_what_is_there() -> None:
    states = [TRUTH[key] for key in KEYS]
    assert [isinstance(state, Fault) or state["present"] for state in states] == [
        True, True, True, False,
    ]  # fmt: skip


@st.composite
def torn(draw: st.DrawFn) -> tuple[str, str]:
    """Give a command and what it prints after one accident."""
    command = draw(st.sampled_from(COMMANDS))
    text = WHOLE[command]
    lines = text.splitlines(keepends=True)
    at = draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    fields = line.rstrip("\n").split(":")
    place = draw(st.integers(0, len(fields) - 1))
    match draw(
        st.sampled_from(["cut", "row", "head", "join", "join-colon", "lack", "more", "lost"])
    ):
        case "cut":  # the end of the output
            return command, text[: draw(st.integers(0, len(text)))]
        case "row":  # the end of a row
            lines[at] = line[: draw(st.integers(0, len(line) - 1))] + "\n"
        case "head":  # the beginning of a row
            lines[at] = line[draw(st.integers(0, len(line) - 1)) :]
        case "join":  # two rows in one line
            lines[at] = line.rstrip("\n")
        case "join-colon":
            lines[at] = line.rstrip("\n").rstrip(":")
        case "lack":  # a value too few
            lines[at] = ":".join([*fields[:place], *fields[place + 1 :]]) + "\n"
        case "more":  # one or more too many, such as a colon that was not encoded
            lines[at] = ":".join([*fields[:place], draw(JUNK), *fields[place:]]) + "\n"
        case "lost":  # a whole row
            del lines[at]
    return command, "".join(lines)


@settings(max_examples=1500)
@given(torn())
def test_no_accident_makes_a_fileset_look_like_another_one(accident: tuple[str, str]) -> None:
    command, text = accident
    try:
        seen = observed(Cluster(**{command: text}))
    except Unavailable:
        return
    wrong = {
        key: found
        for key, found in seen.items()
        if not isinstance(found, Unavailable) and found != TRUTH[key]
    }
    assert not wrong


def test_an_accident_in_a_wide_row_is_seen_as_well() -> None:
    """Rows of later releases have more values than the header has names: no count shows a shift."""
    columns = [*COLUMNS, *mm_output.LATER]
    rows = [mm_output.later(one, wide=12) for one in mm_output.LISTED]
    assert observed(Cluster(mmlsfileset=mm_output.listing(rows, columns))) == TRUTH
    for number, one in enumerate(rows):
        for place in range(len(COLUMNS)):
            moved = [*rows[:number], [*one[:place], *one[place + 1 :]], *rows[number + 1 :]]
            try:
                seen = observed(Cluster(mmlsfileset=mm_output.listing(moved, columns)))
            except Unavailable:
                continue
            for key, found in seen.items():
                assert isinstance(found, Unavailable) or found == TRUTH[key], (number, place)


def test_a_quota_of_a_fileset_that_had_the_name_before_is_not_this_ones() -> None:
    rows = [row for row in mm_output.QUOTAS if row[3] != "cf1"]
    before = mm_output.quota("cf1", 77, blockLimit="1", blockQuota="1")
    assert observed(Cluster(mmrepquota=mm_output.report([before, *rows]))) == TRUTH


def test_a_report_without_a_fileset_is_asked_for_that_one_alone() -> None:
    rows = [row for row in mm_output.QUOTAS if row[3] != "cf2"]
    cluster = Cluster(mmrepquota=mm_output.report(rows))
    assert observed(cluster) == TRUTH
    assert [call for call in cluster.calls if call[0] == "mmlsquota"] == [
        ("mmlsquota", "-j", "cf2", "-v", "-Y", "fs1")
    ]


def test_a_fileset_that_the_listing_lost_is_not_absent() -> None:
    cluster = Cluster(mmlsfileset=mm_output.listing(mm_output.LISTED[:-1]))
    seen = observed(cluster)["fs1/fileset/cf3"]
    assert isinstance(seen, Unavailable)
    assert "although mmlsfileset shows it by name" in seen.message


def test_a_quota_that_outlived_its_fileset_makes_none() -> None:
    left = [*mm_output.QUOTAS, mm_output.quota("cf9", 55)]
    assert observed(Cluster(mmrepquota=mm_output.report(left))) == TRUTH
