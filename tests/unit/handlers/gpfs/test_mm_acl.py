"""NFSv4 ACLs: the text of mmgetacl, its short form in templates, and what counts as the same."""

from __future__ import annotations

import pytest

from handlers.gpfs.above import judge_acl
from handlers.gpfs.mm.client import Mm
from handlers.gpfs.terms import nfs4
from provisioner.contract import Unavailable
from tests.support.mm_output import Cluster

# WashU RIS, mmgetacl of a directory.
REAL = """\
#NFSv4 ACL
#owner:root
#group:root
special:owner@:rwxc:allow:DirInherit
 (X)READ/LIST (X)WRITE/CREATE (X)APPEND/MKDIR (X)SYNCHRONIZE (X)READ_ACL  (X)READ_ATTR  (X)READ_NAMED
 (-)DELETE    (X)DELETE_CHILD (X)CHOWN        (X)EXEC/SEARCH (X)WRITE_ACL (X)WRITE_ATTR (X)WRITE_NAMED

special:owner@:rw-c:allow:FileInherit
 (X)READ/LIST (X)WRITE/CREATE (X)APPEND/MKDIR (X)SYNCHRONIZE (X)READ_ACL  (X)READ_ATTR  (X)READ_NAMED
 (-)DELETE    (-)DELETE_CHILD (X)CHOWN        (-)EXEC/SEARCH (X)WRITE_ACL (X)WRITE_ATTR (X)WRITE_NAMED

group:storage-joe.user:rwx-:allow:DirInherit
 (X)READ/LIST (X)WRITE/CREATE (X)APPEND/MKDIR (X)SYNCHRONIZE (X)READ_ACL  (X)READ_ATTR  (X)READ_NAMED
 (-)DELETE    (X)DELETE_CHILD (-)CHOWN        (X)EXEC/SEARCH (-)WRITE_ACL (X)WRITE_ATTR (X)WRITE_NAMED

group:storage-joe.user-first_project-ro:r-x-:allow:DirInherit
 (X)READ/LIST (-)WRITE/CREATE (-)APPEND/MKDIR (X)SYNCHRONIZE (X)READ_ACL  (X)READ_ATTR  (X)READ_NAMED
 (-)DELETE    (-)DELETE_CHILD (-)CHOWN        (X)EXEC/SEARCH (-)WRITE_ACL (-)WRITE_ATTR (-)WRITE_NAMED
"""  # noqa: E501

SHORT = """\
special:owner@:rwxc:allow:DirInherit
special:owner@:rw-c:allow:FileInherit
group:storage-joe.user:rwx-:allow:DirInherit
group:storage-joe.user-first_project-ro:r-x-:allow:DirInherit
"""


def test_the_short_form_expands_to_what_mmgetacl_prints() -> None:
    printed = "\n".join(
        line for line in REAL.splitlines() if line[:7] not in {"#owner:", "#group:"}
    )
    assert nfs4.write(nfs4.parse(SHORT)).strip() == printed.strip()


def test_what_was_read_is_written_back_unchanged() -> None:
    assert nfs4.parse(nfs4.write(nfs4.parse(REAL))) == nfs4.parse(REAL)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (SHORT, REAL, True),
        ("user:a:r---:allow\nuser:b:r---:deny", "user:b:r---:deny\nuser:a:r---:allow", False),
        (
            "user:a:r---:allow:FileInherit:DirInherit",
            "user:a:r---:allow:DirInherit:FileInherit",
            True,
        ),
        ("user:a:r---:allow", "user:a:r---:allow:Inherited", False),
        ("user:a:r---:allow", "user:a:rw--:allow", False),
        ("user:a:r---:allow\n (X)READ/LIST", "user:a:r---:allow\n (X)READ/LIST (X)DELETE", False),
        ("user:a:r---:allow", "", False),
        ("#group:domain users\nuser:a:r---:allow", "user:a:r---:allow", True),
    ],
)
def test_sameness(one: str, other: str, same: bool) -> None:
    assert nfs4.same(one, other) is same


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        (nfs4.CLOSED, True),
        ("special:owner@:rwxc:allow\nspecial:group@:----:allow", True),
        ("special:owner@:rwxc:allow\nspecial:everyone@:r-x-:deny", True),
        ("special:owner@:rwxc:allow\nspecial:group@:--x-:allow", False),
        ("group:p1:rwx-:allow", False),
    ],
)
def test_closed(text: str, closed: bool) -> None:
    assert nfs4.closed(text) is closed


@pytest.mark.parametrize(
    "text",
    ["user:a:r---", "user:a:rwx:allow", "x:a:r---:allow", "user:a:r---:allow:Odd", "(X)DELETE"],
)
def test_what_is_no_acl_is_named_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        nfs4.parse(text)


AUDITED = "special:everyone@:rwx-:audit\n"


def test_an_entry_that_only_writes_a_log_is_read_and_opens_nothing() -> None:
    assert nfs4.closed(nfs4.CLOSED + AUDITED)
    assert not nfs4.trivial(nfs4.CLOSED + AUDITED)
    assert ":rwx-:audit\n" in nfs4.write(nfs4.parse(AUDITED))
    assert judge_acl("/gpfs/fs1/p", AUDITED) is None


def test_a_template_has_no_entry_that_gpfs_does_not_keep() -> None:
    with pytest.raises(ValueError, match="everyone@ has audit: GPFS keeps only allow and deny"):
        nfs4.template(nfs4.CLOSED + AUDITED)


def test_an_acl_that_was_cut_is_never_whole() -> None:
    text = nfs4.write(nfs4.parse(SHORT))
    assert nfs4.whole(text)
    lines = text.splitlines(keepends=True)
    ends = ["".join(lines[:count]) for count in range(len(lines))]
    heads = [number for number, line in enumerate(lines) if line[0] not in " #\n"]
    # Right before an entry, and its empty line, nothing shows that one more was there.
    between = {number for head in heads[1:] for number in (head, head - 1)} | {len(lines) - 1}
    assert not [n for n, end in enumerate(ends) if n not in between and nfs4.whole(end)]


def test_an_acl_of_which_nothing_was_printed_closes_nothing() -> None:
    mm = Mm(Cluster(mmgetacl="#NFSv4 ACL\n"), "fs1")
    with pytest.raises(Unavailable, match="an ACL that ends too early"):
        mm.acl("/gpfs/fs1/cf1")
