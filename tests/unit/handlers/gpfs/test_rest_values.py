"""JSON of the REST API becomes the same values as the output of the mm commands, or an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.gpfs.rest import acls, values
from handlers.gpfs.terms import listing, nfs4
from handlers.gpfs.terms.rows import Unreadable
from handlers.gpfs.terms.usage import Quota, of_filesets
from handlers.gpfs.transport import Entry, NewFileset

FILESET: dict[str, Any] = {
    "filesetName": "cf1",
    "filesystemName": "fs1",
    "config": {
        "comment": "hpc1:fs1/fileset/cf1", "created": "2026-05-18 14:56:37,000", "id": 1,
        "inodeSpace": 1, "isInodeSpaceOwner": True, "maxNumInodes": 102400, "path": "/gpfs/fs1/cf1",
        "parentId": 0, "rootInode": 524291, "status": "Linked",
    },
    "usage": {"allocatedInodes": 51200},
}  # fmt: skip

QUOTA: dict[str, Any] = {
    "blockGrace": "none", "blockInDoubt": 0, "blockLimit": 57671680, "blockQuota": 52428800,
    "blockUsage": 24891584, "filesGrace": "none", "filesInDoubt": 0, "filesLimit": 33000,
    "filesQuota": 30000, "filesUsage": 4914, "filesetName": "root", "filesystemName": "fs1",
    "isDefaultQuota": False, "objectId": 402570, "objectName": "rjy1", "quotaId": 58654,
    "quotaType": "FILESET",
}  # fmt: skip


def changed(thing: dict[str, Any], part: str, **values: object) -> dict[str, Any]:
    return {**thing, part: {**thing[part], **values}}


def test_a_fileset_is_the_row_that_mmlsfileset_prints() -> None:
    record = values.fileset(FILESET)
    listing.check(record)
    assert (record["isInodeSpaceOwner"], record["maxInodes"], record["allocInodes"]) == (
        "1", "102400", "51200",
    )  # fmt: skip


@pytest.mark.parametrize("text", [False, "false", "no", "0"])
def test_a_dependent_fileset_has_no_inodes_of_its_own(text: object) -> None:
    thing = changed(FILESET, "config", isInodeSpaceOwner=text, maxNumInodes=None)
    record = values.fileset({**thing, "usage": {}})
    assert (record["isInodeSpaceOwner"], record["maxInodes"], record["allocInodes"]) == (
        "0", "0", "0",
    )  # fmt: skip


@pytest.mark.parametrize(
    "thing",
    [
        changed(FILESET, "config", maxNumInodes=None),
        changed(FILESET, "config", status=""),
        changed(FILESET, "config", isInodeSpaceOwner="perhaps"),
        changed(FILESET, "config", path=None),
        {**FILESET, "usage": None},
    ],
    ids=["inodes", "status", "owner", "path", "usage"],
)
def test_a_fileset_that_lacks_a_value_decides_nothing(thing: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match="in a row"):
        listing.check(values.fileset(thing))


def test_a_quota_has_its_limits_usage_in_doubt_and_grace() -> None:
    thing = {**QUOTA, "blockInDoubt": "160", "blockGrace": "6 days", "blockUsage": -12}
    ((named, record),) = of_filesets([values.quota(thing)], "fs1").items()
    quota = Quota.of(record)
    assert named == ("rjy1", "402570")
    assert (quota.block_soft, quota.block_hard, quota.files_hard) == (52428800, 57671680, 33000)
    assert (quota.usage.block_usage, quota.usage.block_in_doubt) == (-12, 160)
    assert str(quota.usage.block_grace) == "6 days"


@pytest.mark.parametrize("name", ["blockLimit", "filesUsage", "blockInDoubt", "filesGrace"])
def test_a_quota_that_lacks_a_value_is_never_zero(name: str) -> None:
    with pytest.raises(Unreadable):
        Quota.of(values.quota({**QUOTA, name: None}))


STAT = """\
  File: /gpfs/fs1/cf1
  Size: 4096      \tBlocks: 1          IO Block: 262144 directory
Device: 2eh/46d\tInode: 524291      Links: 2
Access: (2770/drwxrws---)  Uid: ( 2001/    jdoe)   Gid: ( 3001/     cf1)
Access: 2026-05-18 14:56:37.000000000 +0200
"""


def test_stat_of_the_gui_tells_owner_mode_and_inode() -> None:
    assert values.entry(STAT) == Entry(2001, 3001, 0o2770, True, 524291)
    link = STAT.replace("262144 directory", "262144 symbolic link")
    assert values.entry(link).directory is False


@pytest.mark.parametrize("gone", ["Access: (2770", "Uid:", "Gid:", "Inode:", "IO Block:"])
def test_stat_without_a_value_is_not_read(gone: str) -> None:
    with pytest.raises(Unreadable, match="in what stat printed"):
        values.entry(STAT.replace(gone, "?"))


def test_limits_go_out_in_bytes() -> None:
    body = values.new_quota("cf1", [1024, 2048], [0, 0])
    assert body == {
        "operationType": "setQuota", "quotaType": "fileset", "objectName": "cf1",
        "blockSoftLimit": "1048576", "blockHardLimit": "2097152",
        "filesSoftLimit": "0", "filesHardLimit": "0",
    }  # fmt: skip
    assert not {name for name in values.new_quota("cf1", None, [1, 1]) if "block" in name}


@pytest.mark.parametrize(("parent", "space"), [(None, "new"), ("root", "root"), ("p", "p")])
def test_a_new_fileset_names_its_inode_space_and_its_path(parent: str | None, space: str) -> None:
    body = values.new_fileset(NewFileset("cf1", "mark", parent, None, "/gpfs/fs1/cf1"))
    assert (body["inodeSpace"], body["path"], "maxNumInodes" in body) == (
        space, "/gpfs/fs1/cf1", False,
    )  # fmt: skip


ACL = """\
special:owner@:rwxc:allow
special:group@:rwx-:allow:FileInherit:DirInherit
group:cf1:r-x-:allow:DirInherit:InheritOnly
user:jdoe:----:deny
"""


def test_an_acl_is_the_same_after_both_ways() -> None:
    body = acls.body(ACL)
    assert body["type"] == "NFSv4"
    assert nfs4.same(acls.text(body), nfs4.template(ACL))


def test_full_control_is_written_as_the_api_shows_it() -> None:
    everything = "".join(f"(X){name} " for name in acls.NAMES)
    written = json.dumps(acls.body(f"special:owner@:rwxc:allow\n {everything}\n"))
    [entry] = json.loads(written)["entries"]
    assert set(entry["permissions"]) == set("rwmxDaAnNcCosd")


@pytest.mark.parametrize(
    "entry",
    [
        {"permissions": "rq"}, {"flags": "z"}, {"who": "owner@"}, {"who": "everyone:a"},
        {"type": "perhaps"}, {"who": "group:"},
    ],
    ids=str,
)  # fmt: skip
def test_an_entry_that_is_not_known_makes_the_acl_unreadable(entry: dict[str, str]) -> None:
    whole = {"type": "allow", "who": "group:cf1", "permissions": "rx", "flags": ""}
    with pytest.raises(Unreadable):
        acls.text({"type": "NFSv4", "entries": [{**whole, **entry}]})


@pytest.mark.parametrize(
    "acl",
    [{}, {"type": "POSIX", "entries": [{}]}, {"type": "NFSv4"}, {"type": "NFSv4", "entries": []}],
    ids=str,
)
def test_an_acl_without_entries_is_never_a_closed_one(acl: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        acls.text(acl)


def test_a_flag_without_a_letter_is_refused() -> None:
    with pytest.raises(ValueError, match="NoPropagateInherit"):
        acls.body("group:cf1:r-x-:allow:NoPropagateInherit\n")


@pytest.mark.parametrize("mode", [0o700, 0o770, 0o755, 0o751])
def test_a_mode_is_an_acl_that_says_no_more(mode: int) -> None:
    text = acls.of_mode(mode)
    assert nfs4.trivial(text)
    assert nfs4.closed(text) is (mode == 0o700)
