"""Fileset plans as tables: what is wanted, what was found, what is done about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handlers.gpfs.plan import plan
from handlers.gpfs.state import Fileset, Wanted, merge, prior
from handlers.gpfs.terms import nfs4
from provisioner.contract import Claim, Conflict, Fault, Permanent
from provisioner.objects.merging import disputed, summary

KEY = "fs1/fileset/cf3"
MARK = "hpc1:fs1/fileset/cf3"
TIB = 1 << 30
ACL = "special:owner@:rwxc:allow\nspecial:group@:rwx-:allow:FileInherit:DirInherit\n"
OPEN_ACL = "special:owner@:rwxc:allow\nspecial:group@:rwx-:allow\nspecial:everyone@:----:allow\n"

ABSENT = Fileset(present=False, filesystem="fs1", mount="/gpfs/fs1", block_kib=4096)
WANTED = Wanted(
    "cf3", "p/cf3", quota=TIB, files=5000, inode_limit=5000, uid=2001, gid=3001, mode="2770"
)
GOOD = replace(
    ABSENT,
    present=True,
    name="cf3",
    id=7,
    comment=MARK,
    independent=True,
    space="cf3",
    max_inodes=5120,
    alloc_inodes=1024,
    block_soft=TIB,
    block_hard=TIB,
    files_soft=5000,
    files_hard=5000,
    linked=True,
    path="/gpfs/fs1/p/cf3",
    uid=2001,
    gid=3001,
    mode=0o2770,
    acl=OPEN_ACL,
)
CREATED = replace(
    GOOD, block_soft=0, block_hard=0, files_soft=0, files_hard=0, linked=False, path="", uid=0,
    gid=0, mode=0, acl=None,
)  # fmt: skip
LINKED = replace(GOOD, uid=0, gid=0, mode=0o700, acl=nfs4.CLOSED)
SHUT = replace(GOOD, uid=0, gid=0, mode=0o700, acl=nfs4.CLOSED)
WITH_ACL = replace(WANTED, acl=ACL)
DEPENDENT = replace(WANTED, kind="dependent", parent="cf0", inode_limit=None)
CLOSED = Wanted("cf3", closed=True)
WITHDRAWN = Wanted("cf3", closed=True, withdrawn=True)

PLANS: list[tuple[str, Wanted, Fileset, str]] = [
    ("all is so, by an absolute path", replace(WANTED, path="/gpfs/fs1/p/cf3"), GOOD, ""),
    ("nothing there", WANTED, ABSENT, "create set-quota link chown chmod"),
    ("nothing there, with an ACL", WITH_ACL, ABSENT, "create set-quota link chown chmod set-acl"),
    ("all is so", WANTED, GOOD, ""),
    ("stopped after create", WANTED, CREATED, "set-quota link chown chmod"),
    ("stopped after link", WANTED, LINKED, "chown chmod"),
    ("stopped after chown", WANTED, replace(LINKED, uid=2001, gid=3001), "chmod"),
    ("quota rounded up to a block", replace(WANTED, quota=TIB - 5), GOOD, ""),
    ("quota grows", replace(WANTED, quota=2 * TIB), GOOD, "set-quota"),
    ("quota shrinks", replace(WANTED, quota=TIB // 2), GOOD, "set-quota"),
    ("only the soft limit differs", WANTED, replace(GOOD, block_soft=1), "set-quota"),
    ("no quota wanted", replace(WANTED, quota=None, files=None), GOOD, ""),
    ("files differ", WANTED, replace(GOOD, files_hard=10), "set-quota"),
    ("inode limit grows", replace(WANTED, inode_limit=9000), GOOD, "set-inode-limit"),
    ("inode limit as rounded", replace(WANTED, inode_limit=5120), GOOD, ""),
    ("inode limit all allocated", WANTED, replace(GOOD, alloc_inodes=5120), ""),
    ("inode limit outgrown", WANTED, replace(GOOD, max_inodes=9216, alloc_inodes=7168), ""),
    ("inode limit outgrown, and wanted above", replace(WANTED, inode_limit=20480),
     replace(GOOD, max_inodes=9216, alloc_inodes=7168), "set-inode-limit"),
    ("inode limit raised, and not used", WANTED, replace(GOOD, max_inodes=9216),
     "set-inode-limit"),
    ("owner left as it is", replace(WANTED, uid=None), replace(GOOD, uid=5), ""),
    ("only the group", replace(WANTED, uid=None), replace(GOOD, gid=5), "chown"),
    ("ACL wanted", WITH_ACL, GOOD, "set-acl"),
    ("ACL is so", WITH_ACL, replace(GOOD, acl=ACL), ""),
    ("ACL rules the mode", WITH_ACL, replace(GOOD, acl=ACL, mode=0o2700), ""),
    ("set-id bits count beside an ACL", WITH_ACL, replace(GOOD, acl=ACL, mode=0o770),
     "chmod set-acl"),
    ("dependent", DEPENDENT, ABSENT, "create set-quota link chown chmod"),
    ("dependent is so", DEPENDENT, replace(GOOD, independent=False, space="cf0"), ""),
    ("adopted since it fits", WANTED, replace(GOOD, comment=""), "mark"),
    ("adopted by request", replace(WANTED, adopt=True), replace(LINKED, comment="old"),
     "mark chown chmod"),
    ("closed", CLOSED, GOOD, "chown chmod set-acl"),
    ("closed already", CLOSED, SHUT, ""),
    ("closed where there are no NFSv4 ACLs", CLOSED, replace(GOOD, acl=None), "chown chmod"),
    ("closed but for the ACL", CLOSED, replace(SHUT, acl=ACL), "chmod set-acl"),
    ("closed, not there", CLOSED, ABSENT, ""),
    ("closed, not linked", CLOSED, CREATED, ""),
    ("closed, linked elsewhere", CLOSED, replace(GOOD, path="/gpfs/fs1/x"), "chown chmod set-acl"),
    ("nobody claims it", WITHDRAWN, GOOD, "chown chmod set-acl"),
    ("nobody claims it, not ours", WITHDRAWN, replace(GOOD, comment="x"), ""),
    ("nobody claims it, not there", WITHDRAWN, ABSENT, ""),
    ("opened again", WANTED, SHUT, "chown chmod"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "wanted", "found", "verbs"), PLANS, ids=[p[0] for p in PLANS])
def test_plan(name: str, wanted: Wanted, found: Fileset, verbs: str) -> None:
    changes = plan(KEY, MARK, wanted, found)
    assert " ".join(change.verb for change in changes) == verbs
    phases = [change.phase for change in changes]
    assert phases == sorted(phases)


@pytest.mark.parametrize(
    ("comment", "left"), [("x" * 300, 255), ("x" + "ü" * 200, 254), ("old", len(MARK) + 4)]
)
def test_a_mark_goes_before_a_comment_which_is_cut_to_what_gpfs_keeps(
    comment: str, left: int
) -> None:
    [mark] = plan(KEY, MARK, WANTED, replace(GOOD, comment=comment))
    said = str(mark.data["comment"])
    assert said.startswith(f"{MARK} {comment[:3]}")
    assert len(said.encode()) == left
    assert said.removeprefix(f"{MARK} ") in comment


REFUSALS: list[tuple[str, Wanted, Fileset, type[Fault], str]] = [
    ("not ours", WANTED, replace(LINKED, comment="mine"), Conflict, "comment is 'mine'"),
    ("elsewhere", replace(WANTED, path="/etc/cf3"), ABSENT, Permanent, "below the mount point"),
    ("another's", WANTED, replace(GOOD, comment="hpc2:fs1/fileset/cf3"), Conflict, "another"),
    ("another's, adopt", replace(WANTED, adopt=True),
     replace(GOOD, comment="hpc2:fs1/fileset/cf3"), Conflict, "another"),
    ("our mark as a beginning", WANTED, replace(LINKED, comment=MARK + "0"), Conflict, "another"),
    ("not ours, to be closed", CLOSED, replace(GOOD, comment=""), Conflict, "differs"),
    ("kind", DEPENDENT, GOOD, Conflict, "is independent"),
    ("parent", DEPENDENT, replace(GOOD, independent=False, space="root"), Conflict, "root"),
    ("elsewhere", WANTED, replace(GOOD, path="/gpfs/fs1/moved"), Conflict, "linked at"),
    ("quota not enforced", WANTED, replace(ABSENT, enforced=False), Permanent, "enforce"),
    ("no NFSv4 ACLs", WITH_ACL, replace(GOOD, acl=None), Permanent, "NFSv4"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted", "found", "fault", "words"), REFUSALS, ids=[r[0] for r in REFUSALS]
)
def test_refusal(name: str, wanted: Wanted, found: Fileset, fault: type[Fault], words: str) -> None:
    with pytest.raises(fault, match=words):
        plan(KEY, MARK, wanted, found)


def test_our_mark_before_an_older_comment_is_ours() -> None:
    assert plan(KEY, MARK, WANTED, replace(GOOD, comment=f"{MARK} Jane's data")) == []


def test_adoption_keeps_the_older_comment() -> None:
    (change,) = plan(KEY, MARK, WANTED, replace(GOOD, comment="Jane's data"))
    assert change.data["comment"] == f"{MARK} Jane's data"


def test_texts_are_for_persons() -> None:
    texts = [c.text for c in plan(KEY, MARK, WANTED, ABSENT)]
    assert texts == [
        "create independent fileset cf3, 5000 inodes",
        "quota unlimited -> 1 TiB, files unlimited -> 5000",
        "link at /gpfs/fs1/p/cf3",
        "owner 0:0 -> 2001:3001",
        "mode 0700 -> 2770",
    ]


def test_upper_filesets_are_created_and_linked_first() -> None:
    upper = plan("fs1/fileset/cf0", "m", replace(WANTED, name="cf0", path="p"), ABSENT)
    lower = plan(KEY, MARK, replace(DEPENDENT, path="p/cf3"), ABSENT)
    both = sorted([*lower, *upper], key=lambda change: change.phase)
    order = [(c.verb, c.data["name"]) for c in both if c.verb in {"create", "link"}]
    assert order == [("create", "cf0"), ("create", "cf3"), ("link", "cf0"), ("link", "cf3")]


# Merging.


def claim(claimant: str, suspended: bool = False, **want: object) -> Claim:
    return Claim(claimant, {**WANTED.json(), **want}, suspended)  # type: ignore[dict-item]


def test_limits_are_the_largest() -> None:
    merged = merge([claim("a", quota=5, files=9), claim("b", quota=7, files=2)], None, "cf3")
    assert (merged.quota, merged.files) == (7, 9)


def test_which_limit_counts_is_told_with_who_wants_what() -> None:
    merged = merge([claim("allocation:10", quota=5), claim("allocation:9", quota=7)], None, "cf3")
    assert summary(merged.json()) == (
        "quota 7 KiB (largest): allocation:9 wants quota 7 KiB, allocation:10 wants quota 5 KiB",
    )


DISPUTED: list[tuple[dict[str, object], dict[str, object], list[str]]] = [
    ({"gid": 1}, {"gid": 2}, []),
    ({"path": "p/a"}, {"path": "p/b"}, []),
    ({"kind": "independent"}, {"kind": "dependent"}, []),
    ({"mode": "2770"}, {"mode": "0755"}, []),
    ({"gid": 1, "quota": 1 << 30}, {"gid": 2, "quota": 9 << 30}, ["set-quota"]),
]


@pytest.mark.parametrize(("one", "other", "verbs"), DISPUTED)
def test_what_claims_do_not_agree_about_stays_as_it_is_and_the_rest_is_made(
    one: dict[str, Any], other: dict[str, Any], verbs: list[str]
) -> None:
    merged = merge([claim("allocation:9", **one), claim("allocation:10", **other)], None, "cf3")
    assert [change.verb for change in plan(KEY, MARK, merged, GOOD)] == verbs
    [said] = disputed(merged.json())
    assert "stays unchanged" in said
    assert said.index("allocation:9 wants") < said.index("allocation:10 wants")


def test_a_new_fileset_is_as_the_first_claimant_wants_it() -> None:
    merged = merge([claim("allocation:10", gid=2), claim("allocation:9", gid=1)], None, "cf3")
    owners = [c.data["gid"] for c in plan(KEY, MARK, merged, ABSENT) if c.verb == "chown"]
    assert owners == [1]


def test_a_live_claim_keeps_it_open_and_alone_counts() -> None:
    merged = merge([claim("a", suspended=True, quota=99), claim("b", quota=7)], None, "cf3")
    assert (merged.closed, merged.quota) == (False, 7)


@pytest.mark.parametrize(
    ("claims", "withdrawn"), [([], True), ([claim("a", suspended=True)], False)]
)
def test_closed(claims: list[Claim], withdrawn: bool) -> None:
    merged = merge(claims, None, "cf3")
    assert (merged.closed, merged.withdrawn) == (True, withdrawn)


def test_what_was_saved_fills_what_no_claim_speaks_of() -> None:
    saved = prior(replace(GOOD, acl=ACL, uid=77))
    merged = merge([claim("a", uid=None, acl=None)], saved, "cf3")
    assert (merged.uid, merged.gid) == (77, 3001)
    assert merged.acl is not None
    assert nfs4.same(merged.acl, ACL)


@pytest.mark.parametrize("found", [ABSENT, CREATED, SHUT])
def test_nothing_is_saved_of_what_is_not_open(found: Fileset) -> None:
    assert prior(found) is None


def test_an_acl_that_says_what_the_mode_says_is_not_saved() -> None:
    assert prior(GOOD) == {"uid": 2001, "gid": 3001, "mode": "2770"}
