"""What is taken from staging, and what is set aside."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.spool.spool import Rejected, Spool, Submission
from provisioner.spool.submission import LIMIT
from provisioner.system import ulid as ulids
from provisioner.system.users import user_name
from tests.support.spool_files import (
    BODY,
    dangling,
    directory,
    entries,
    fifo,
    hard_link,
    large,
    listening,
    of_mode,
    put,
    root_only,
    sparse,
    symlink,
    take,
)


def test_a_taken_file_names_its_writer(spool: Spool) -> None:
    path = put(spool)
    found = path.stat()
    submission = take(spool)
    assert ulids.is_ulid(submission.ulid)
    assert (submission.name, submission.body, submission.size) == ("a.yaml", BODY, len(BODY))
    assert (submission.uid, submission.writer) == (os.geteuid(), user_name(os.geteuid()))
    assert (submission.device, submission.inode) == (found.st_dev, found.st_ino)
    assert entries(spool, "staging") == []
    assert entries(spool, "active") == [f"{submission.ulid}-a.yaml"]


def test_a_file_that_is_gone_is_nothing(spool: Spool) -> None:
    assert spool.take("gone.yaml") is None


def test_an_empty_file_is_taken_and_left_to_the_parser(spool: Spool) -> None:
    put(spool, body=b"")
    assert take(spool).body == b""


def test_the_largest_request_is_taken(spool: Spool) -> None:
    put(spool, body=b"x" * LIMIT)
    assert take(spool).size == LIMIT


def test_only_one_of_many_takers_gets_a_file(spool: Spool) -> None:
    names = [f"{number}.yaml" for number in range(200)]
    for name in names:
        put(spool, name)
    others = [Spool.open(spool.root) for _ in range(4)]
    won: list[str] = []

    def take_all(of: Spool) -> None:
        won.extend(name for name in names if isinstance(of.take(name), Submission))

    threads = [threading.Thread(target=take_all, args=(of,)) for of in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A taker may pass a file over while another holds it open; nobody gets one twice.
    for name in set(names) - set(won):
        assert isinstance(spool.take(name), Submission)
        won.append(name)
    assert sorted(won) == sorted(names)
    assert len(entries(spool, "active")) == 200
    for of in others:
        of.close()


@pytest.mark.parametrize(
    ("make", "says", "quarantine"),
    [
        (symlink, "symbolic link", True),
        (dangling, "symbolic link", True),
        (hard_link, "2 links", True),
        (fifo, "FIFO", True),
        (listening, "socket", True),
        (directory, "directory", True),
        (of_mode(0o4600), "setuid", True),
        (of_mode(0o2610), "setgid", True),
        (of_mode(0o620), "others may write", False),
        (of_mode(0o602), "chmod go-w", False),
        (large, "more than 65536", False),
        (sparse, "1099511627776 bytes", False),
    ],
)
def test_a_hostile_file_is_set_aside_with_its_reason(
    spool: Spool, make: Callable[[Path], None], says: str, quarantine: bool
) -> None:
    make(spool.staging / "bad.yaml")
    put(spool, "good.yaml")
    rejected = spool.take("bad.yaml")
    assert isinstance(rejected, Rejected)
    assert says in rejected.reason
    assert (rejected.name, rejected.quarantine) == ("bad.yaml", quarantine)
    assert rejected.writer == user_name(os.geteuid())
    place = "quarantine" if quarantine else "failed"
    assert spool.move(rejected.ulid, "active", place, rejected.name)
    assert entries(spool, place) == [f"{rejected.ulid}-bad.yaml"]
    assert take(spool, "good.yaml").body == BODY


OURS = [
    ("a.result.yaml", True),
    ("a.yaml.result.yaml", True),
    ("a.result.yml", False),
    ("result.yaml", False),
    ("a.yaml.sig.yaml", False),
    ("a.result.yaml.json", False),
    ("01ARYZ6S41TSV4RRFFQ69G5FAV-a.yaml", False),
    ("a.tmp.yaml", False),
]
"""Names that look like those of our own files, and whether they are taken for one."""


@pytest.mark.parametrize(("name", "refused"), OURS)
def test_a_name_that_ends_as_a_results_is_set_aside_with_what_to_do(
    spool: Spool, name: str, refused: bool
) -> None:
    put(spool, name)
    found = spool.take(name)
    assert isinstance(found, Rejected if refused else Submission)
    if isinstance(found, Rejected):
        assert found.quarantine
        assert "give it another" in found.reason


@pytest.mark.parametrize("name", [name for name, _ in OURS])
def test_no_name_keeps_a_file_from_going_back_after_a_crash(spool: Spool, name: str) -> None:
    """What was taken and not committed is found by its ULID alone."""
    put(spool, name)
    put(spool, name + ".sig")
    found = spool.take(name)
    assert found is not None
    assert spool.return_to_staging(found.ulid) == name
    assert entries(spool, "active") == []


@root_only
def test_a_device_is_set_aside(spool: Spool) -> None:
    os.mknod(spool.staging / "null.yaml", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    rejected = spool.take("null.yaml")
    assert isinstance(rejected, Rejected)
    assert "device" in rejected.reason


@root_only
def test_the_writer_is_the_owner_of_the_file(spool: Spool) -> None:
    os.chown(put(spool), 54321, -1)
    submission = take(spool)
    assert (submission.uid, submission.writer) == (54321, "uid-54321")
