"""`-Y` output in the layouts of real clusters: what is read, and what is told as unreadable."""

from __future__ import annotations

import pytest

from handlers.emulators.gpfs.filesets import COLUMNS
from handlers.emulators.gpfs.quotas import LIST_COLUMNS, REPORT_COLUMNS
from handlers.gpfs.mm.client import Mm
from handlers.gpfs.terms.listing import filesets
from handlers.gpfs.terms.rows import Layout, Record, Unreadable, count, number
from handlers.gpfs.terms.usage import ONE, Grace, Quota, Usage, about, of_filesets
from handlers.gpfs.transport import doubt
from provisioner.contract import Unavailable
from tests.support import mm_output
from tests.support.mm_output import LATER, Cluster, fileset, header, later, quota, report, row

ROOT, CF1 = fileset("root", 0), fileset("cf1", 1, comment="until 31.12.%3A 50%25")


def names(text: str) -> list[str]:
    return [record["filesetName"] for record in filesets(text)]


def test_values_are_found_by_their_names_and_decoded() -> None:
    text = "\n".join((header("mmx", ("new", "a")), row("mmx", ("x", "a%3A%25b"))))
    assert Layout("mmx").read(text) == [{"new": "x", "a": "a:%b"}]


LAYOUTS: list[tuple[str, str]] = [
    ("an empty line first, as in an exporter's tests", "\n" + mm_output.listing([ROOT, CF1])),
    (
        "no colon at the end of the header",
        "\n".join((header("mmlsfileset", COLUMNS, end=""), row("mmlsfileset", ROOT),
                   row("mmlsfileset", CF1))),
    ),
    (
        "no colon at the end of any line, and a blank at the header's",
        "\n".join((header("mmlsfileset", [*COLUMNS, "x"], end="  "),
                   row("mmlsfileset", [*ROOT, "y"], end=""),
                   row("mmlsfileset", [*CF1, "y"], end=""))),
    ),
    (
        "rows indented, by a script that quotes them",
        mm_output.listing([ROOT, CF1]).replace("\n", "\n    "),
    ),
    ("lines that end as Windows'", mm_output.listing([ROOT, CF1]).replace("\n", "\r\n")),
    (
        "more values than names, as later releases print them",
        mm_output.listing([later(ROOT), later(CF1, wide=12)], [*COLUMNS, *LATER]),
    ),
    (
        "a warning between the rows",
        mm_output.listing([ROOT]) + "fs1: Quota management has been enabled but quota accounting "
        "information is outdated. Run mmcheckquota.\n" + row("mmlsfileset", CF1),
    ),
    (
        "a deleted one, kept for a snapshot",
        mm_output.listing([ROOT, CF1, fileset("(old)", 7, status="Deleted", inodeSpace="-")]),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), LAYOUTS, ids=[case[0] for case in LAYOUTS])
def test_a_layout_that_real_clusters_print_is_read(name: str, text: str) -> None:
    assert names(text) == ["root", "cf1"]


def test_a_separator_of_lines_inside_a_comment_parts_no_row() -> None:
    odd = fileset("cf1", 1, comment="one\u2028two\x0bthree\x85four")
    assert filesets(mm_output.listing([ROOT, odd]))[1]["comment"] == "one\u2028two\x0bthree\x85four"


LISTING = mm_output.listing([ROOT, CF1]).splitlines()
UNREADABLE: list[tuple[str, str, str]] = [
    ("joined", "\n".join((LISTING[0], LISTING[1] + LISTING[2])), "two rows in one line"),
    (
        "joined without a colon",
        "\n".join((LISTING[0], LISTING[1].rstrip(":") + LISTING[2])),
        "two rows in one line",
    ),
    ("header joined to a row", LISTING[0] + LISTING[1], "two rows in one line"),
    ("title joined to the header", "*** Report" + LISTING[0], "does not begin its line"),
    ("row cut in a number", "\n".join((*LISTING[:2], LISTING[2][:-60])), "ends after"),
    ("row cut after its command", "\n".join((*LISTING[:2], "mmlsfileset::")), "a piece of a row"),
    ("row cut in its command", "\n".join((*LISTING[:2], "mmlsfi")), "a piece of a row"),
    ("row that lost its beginning", "\n".join((*LISTING[:2], LISTING[2][20:])), "a piece of a row"),
    ("header cut", "\n".join((LISTING[0][:200], *LISTING[1:])), "does not name"),
    ("row before any header", LISTING[1], "without a header"),
    ("no header at all", "mmlsfileset: nothing to see\n", "a piece of a row"),
    ("nothing printed", "", "no header"),
    ("values beyond that are not of a release", f"{LISTING[0]}\n{LISTING[1]}a:b:c:", "under"),
    ("no id", mm_output.listing([ROOT, fileset("cf1", 1, id="x")]), "id is 'x'"),
    ("of another file system", mm_output.listing([ROOT, fileset("a", 1, filesystemName="fs2")]),
     "'fs2'"),
    ("a name twice", mm_output.listing([ROOT, CF1, CF1]), "two rows of the fileset cf1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "why"), UNREADABLE, ids=[case[0] for case in UNREADABLE])
def test_a_listing_with_a_spoilt_row_is_told_with_the_row(name: str, text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        filesets(text)


def test_what_cannot_be_read_is_unavailable_and_says_command_and_row() -> None:
    cluster = Cluster(mmlsfileset="\n".join((LISTING[0], LISTING[1] + LISTING[2])))
    with pytest.raises(Unavailable) as caught:
        Mm(cluster, "fs1").filesets()
    assert "mmlsfileset fs1 -L -Y" in caught.value.message
    assert "two rows in one line: 'mmlsfileset::0:1:::fs1:root" in caught.value.message


def test_a_listing_without_the_root_fileset_is_no_listing() -> None:
    with pytest.raises(Unavailable, match="root"):
        Mm(Cluster(mmlsfileset=mm_output.listing([])), "fs1").filesets()


DOUBTED: list[tuple[str, dict[str, str], str]] = [
    ("a word for a number", {"maxInodes": "foo"}, "maxInodes is 'foo'"),
    ("no number", {"allocInodes": ""}, "allocInodes is ''"),
    ("below nothing", {"maxInodes": "-3"}, "maxInodes is -3"),
    ("neither owner nor not", {"isInodeSpaceOwner": "2"}, "isInodeSpaceOwner is '2'"),
    ("no such status", {"status": "Lin"}, "status is 'Lin'"),
    ("linked nowhere", {"path": "%2D%2D"}, "path is '--'"),
    ("moved by a colon in the comment", {"comment": "until: 2027"}, "inodeSpace is '-'"),
]


@pytest.mark.parametrize(("name", "values", "why"), DOUBTED, ids=[case[0] for case in DOUBTED])
def test_a_fileset_whose_row_cannot_be_believed_stops_that_one_alone(
    name: str, values: dict[str, str], why: str
) -> None:
    rows = [ROOT, fileset("cf1", 1, **values), fileset("cf2", 2)]
    mm = Mm(Cluster(mmlsfileset=mm_output.listing(rows)), "fs1")
    records = mm.filesets()
    assert [record["filesetName"] for record in records] == ["root", "cf1", "cf2"]
    fault = doubt(mm, records)
    assert fault is not None and why in fault.message
    assert doubt(mm, [record for record in records if record["filesetName"] != "cf1"]) is None


@pytest.mark.parametrize("text", ["", "-", "1.5", "1e3", "12 ", "\u0661", "0x10", "--"])
def test_what_is_no_number_is_never_zero(text: str) -> None:
    with pytest.raises(Unreadable, match="not a number"):
        number({"n": text}, "n")


def test_usage_may_be_below_zero_and_limits_may_not() -> None:
    record: Record = {"n": "-12300288"}
    assert number(record, "n") == -12300288
    with pytest.raises(Unreadable):
        count(record, "n")


# Quotas.


def test_a_report_of_the_whole_cluster_gives_the_filesets_of_one_file_system() -> None:
    text = report([quota("root", 0, blockLimit="7")]) + report(
        [quota("root", 0, filesystemName="fs2"), quota("jdoe", 5, quotaType="USR")], "fs2"
    )
    found = Mm(Cluster(mmrepquota=text), "fs1").quotas("fs1")
    assert {name: record["blockLimit"] for name, record in found.items()} == {("root", "0"): "7"}


def test_rows_of_users_and_groups_are_no_filesets() -> None:
    text = report([quota("a", 1), quota("a", 2, quotaType="USR"), quota("a", 3, quotaType="GRP")])
    assert list(Mm(Cluster(mmrepquota=text), "fs1").quotas("fs1")) == [("a", "1")]


def test_a_row_of_an_older_release_without_fid_is_read() -> None:
    values = quota("a", 1, LIST_COLUMNS)
    text = "\n".join(
        (header("mmlsquota", LIST_COLUMNS, "fileset"), row("mmlsquota", values[:-1], "fileset"))
    )
    assert list(of_filesets(ONE.read(text), "fs1")) == [("a", "1")]


def test_a_row_that_another_one_runs_into_is_no_report() -> None:
    text = report()
    at = text.index("\n", text.index(":root:"))
    with pytest.raises(Unavailable, match="two rows in one line"):
        Mm(Cluster(mmrepquota=text[:at] + text[at + 1 :]), "fs1").quotas("fs1")


def read(**more: str) -> Quota:
    return Quota.of(dict(zip(REPORT_COLUMNS, quota("cf1", 1, **more), strict=True)))


def test_limits_usage_in_doubt_and_grace_are_read_by_their_types() -> None:
    found = read(blockUsage="-12300288", blockInDoubt="5436323758080", blockGrace="6 days")
    assert (found.block_soft, found.block_hard) == (1 << 30, 2 << 30)
    assert (found.files_soft, found.files_hard) == (5000, 6000)
    assert found.usage == Usage(
        -12300288, 5436323758080, Grace.of("6 days"), 1395, 400, Grace.of("none")
    )
    assert Usage.of(found.usage.json()) == found.usage


@pytest.mark.parametrize(
    "values", [{"blockUsage": "-"}, {"blockGrace": "0"}, {"filesInDoubt": ""}, {"blockLimit": "-1"}]
)
def test_an_unreadable_value_of_a_quota_is_told_with_its_row(values: dict[str, str]) -> None:
    with pytest.raises(Unreadable, match="in a row: 'fs1:FILESET:1:cf1"):
        read(**values)


@pytest.mark.parametrize(
    ("text", "minutes", "again"),
    [
        ("none", None, "none"),
        ("expired", None, "expired"),
        ("7 days", 7 * 24 * 60, "7 days"),
        ("1 day", 24 * 60, "1 day"),
        ("23 hours", 23 * 60, "23 hours"),
        ("59 minutes", 59, "59 minutes"),
        ("0 minutes", 0, "0 minutes"),
    ],
)
def test_graces(text: str, minutes: int | None, again: str) -> None:
    grace = Grace.of(text)
    left = None if grace.left is None else grace.left.total_seconds() / 60
    assert (left, grace.expired, str(grace)) == (minutes, text == "expired", again)


def test_usage_is_said_in_a_line() -> None:
    found = read(blockInDoubt="163840", blockGrace="expired", filesInDoubt="0")
    assert found.usage.words() == "321.8 GiB, 1,395 files, 160 MiB in doubt, grace of space expired"


@pytest.mark.parametrize(
    ("kib", "text"),
    [(0, "0 KiB"), (1023, "1023 KiB"), (-12300288, "-11.7 GiB"), (5 << 30, "5 TiB")],
)
def test_measured_sizes_in_words(kib: int, text: str) -> None:
    assert about(kib) == text


# Quotas of users.


def users(*rows: list[str]) -> dict[tuple[int, str], int]:
    found = Mm(Cluster(mmrepquota=report([*rows, quota("a", 1)])), "fs1").user_quotas("fs1")
    return {whose: Quota.of(record).block_hard for whose, record in found.items()}


def user(uid: int, fileset: str = "", **more: str) -> list[str]:
    return quota("jdoe", uid, quotaType="USR", filesetname=fileset, blockLimit="7", **more)


def test_users_are_read_by_uid_and_the_fileset_that_counts_them() -> None:
    assert users(user(20001), user(20001, "home"), user(5, filesystemName="fs2")) == {
        (20001, ""): 7,
        (20001, "home"): 7,
    }


def test_two_rows_of_one_user_decide_nothing() -> None:
    with pytest.raises(Unavailable, match="two rows of the uid 20001"):
        users(user(20001), user(20001))
