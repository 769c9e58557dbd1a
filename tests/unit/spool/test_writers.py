"""A file that somebody still writes, or exchanges, is never taken in part."""

import contextlib
import fcntl
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provisioner.spool.spool import Rejected, Spool, Submission
from provisioner.system import ulid as ulids
from tests.support.spool_files import BODY, entries, put, take


def test_a_file_that_is_still_written_is_left_alone_until_it_is_closed(spool: Spool) -> None:
    path = put(spool, body=b"")
    with path.open("wb") as writer:
        writer.write(BODY[:10])
        writer.flush()
        assert spool.take("a.yaml") is None
        assert entries(spool, "staging") == ["a.yaml"]
        assert spool.waiting(10) == []
        due = spool.due_in()
        assert due is not None and due <= 0.25
        writer.write(BODY[10:])
    deadline = time.monotonic() + 5
    while not (names := spool.waiting(10)) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert names == ["a.yaml"]
    submission = take(spool)
    assert submission.body == BODY
    assert submission.alone
    assert spool.due_in() is None


def test_a_writer_that_comes_while_the_file_is_read_does_not_end_the_service(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(spool)
    script = f"import os; os.open({str(path)!r}, os.O_WRONLY | os.O_NONBLOCK)"
    tried: list[int] = []
    real_fstat = os.fstat

    def intrude(file: int) -> os.stat_result:
        if not tried:
            target = f"/proc/{os.getpid()}/fd/{file}"
            code = script.replace(repr(str(path)), repr(target))
            tried.append(subprocess.run([sys.executable, "-c", code], check=False).returncode)
        return real_fstat(file)

    monkeypatch.setattr(os, "fstat", intrude)
    submission = spool.take("a.yaml")
    monkeypatch.undo()
    # The intruder was refused (EWOULDBLOCK) and we are still here, though the kernel signalled.
    assert tried == [1]
    assert isinstance(submission, Submission)


def test_a_file_that_changes_while_it_is_read_is_put_back_and_taken_whole_later(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)
    real_read = os.read

    def change(file: int, size: int) -> bytes:
        os.utime(f"/proc/self/fd/{file}", (1, 1))
        return real_read(file, size)

    monkeypatch.setattr(os, "read", change)
    assert spool.take("a.yaml") is None
    monkeypatch.undo()
    assert entries(spool, "staging") == ["a.yaml"]
    assert entries(spool, "active") == []
    assert take(spool).body == BODY


def test_the_lease_ends_once_the_file_is_read(spool: Spool) -> None:
    put(spool)
    submission = take(spool)
    file = os.open(spool.root / "active" / f"{submission.ulid}-a.yaml", os.O_RDONLY)
    assert fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_UNLCK
    os.close(file)


def test_a_name_given_to_another_file_meanwhile_is_put_back(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)
    other = spool.root / "other"
    other.write_bytes(b"other")
    other.chmod(0o600)
    real_new = ulids.new

    def exchange() -> str:
        other.rename(spool.staging / "a.yaml")
        return real_new()

    monkeypatch.setattr(ulids, "new", exchange)
    assert spool.take("a.yaml") is None
    monkeypatch.undo()
    assert entries(spool, "active") == []
    assert take(spool).body == b"other"


def test_a_file_that_cannot_be_moved_is_passed_over_and_holds_up_nobody(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)
    put(spool, "b.yaml")

    def denied(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("provisioner.spool.spool.rename_own", denied)
    assert spool.take("a.yaml") is None
    monkeypatch.undo()
    assert spool.waiting(10) == ["b.yaml"]


def _torment(staging: Path, seed: int, rounds: int) -> None:
    """Write in two halves, exchange names, plant links and FIFOs, reopen for writing."""
    chance = random.Random(seed)
    names = [staging / f"{number}.yaml" for number in range(6)]
    for round_number in range(rounds):
        name, other = chance.sample(names, 2)
        with contextlib.suppress(OSError):
            match chance.randrange(6):
                case 0:
                    os.mkfifo(name, 0o600)
                case 1:
                    name.symlink_to(other)
                case 2:
                    name.hardlink_to(other)
                case 3:
                    name.rename(other)
                case _:
                    scratch = staging / f".{seed}-{round_number}"
                    file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    os.write(file, BODY[:10])
                    scratch.rename(name)
                    os.write(file, BODY[10:])
                    os.close(file)


def test_under_torment_no_part_of_a_file_is_taken_and_nothing_is_waited_for(
    spool: Spool,
) -> None:
    tormentors = [
        threading.Thread(target=_torment, args=(spool.staging, seed, 1500)) for seed in range(2)
    ]
    for thread in tormentors:
        thread.start()
    found: list[Submission | Rejected | None] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running = any(thread.is_alive() for thread in tormentors)
        found += [spool.take(name) for name in spool.waiting(10)]
        if not running and not spool.waiting(10) and spool.due_in() is None:
            break
    for thread in tormentors:
        thread.join()
    taken = [one for one in found if one is not None]
    assert {one.body for one in taken if isinstance(one, Submission)} == {BODY}
    assert sorted(one.ulid for one in taken) == spool.listed("active")
    assert spool.waiting(10) == []
