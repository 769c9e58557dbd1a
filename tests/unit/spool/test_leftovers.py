"""What a crash left half written goes at the next start; what has its name, or is new, stays."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.spool.spool import Spool, Submission
from provisioner.spool.submit import drop
from provisioner.system import ulid
from tests.support.receipts_site import write

STALE = 61.0
ULID = "01JGT0V9Q3M4R5S6T7V8W9X0Y1"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool.create(tmp_path / "spool")
    yield made
    made.close()


def left(path: Path, *, age: float = STALE) -> Path:
    """Leave a file as if nobody had written to it for some seconds."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("half a")
    os.utime(path, (0, time.time() - age))
    return path


LEFT = {
    "a request that was being dropped": f"staging/.{ULID}.tmp",
    "a result in done": f"done/.{ULID}.result",
    "a result in failed": f"failed/.{ULID}.result",
    "a result in quarantine": f"quarantine/.{ULID}.result",
    "a result in active": f"active/.{ULID}.result",
    "a receipt": f"receipts/jdoe/.{ULID}",
}


@pytest.mark.parametrize("name", LEFT.values(), ids=LEFT.keys())
def test_what_a_crash_left_is_removed_when_it_is_stale(spool: Spool, name: str) -> None:
    old = left(spool.root / name)
    new = left(old.with_name(old.name.replace(old.name[1:27], ulid.new())), age=30)
    assert spool.remove_leftovers() == 1
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("hours", [1, -1], ids=["ahead", "behind"])
def test_what_is_stale_says_the_clock_of_the_file_system(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    new, old = (spool.staging / f".{ulid.new()}.tmp" for _ in range(2))
    new.write_text("half a")
    left(old)
    here = time.time
    monkeypatch.setattr(time, "time", lambda: here() + 3600 * hours)
    assert spool.remove_leftovers() == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_a_writers_directory_that_was_being_made_is_removed(spool: Spool) -> None:
    fresh = spool.receipts / f".{ulid.new()}"
    fresh.mkdir()
    os.utime(fresh, (0, time.time() - STALE))
    assert spool.remove_leftovers() == 1
    assert not fresh.exists()


@pytest.mark.parametrize(
    "name",
    [
        "staging/a.yaml",
        "staging/.hidden.yaml",
        "staging/.upload.tmp",
        f"staging/{ULID}.tmp",
        f"staging/.{ULID}.yaml",
        f"staging/.{ULID}.result",
        f"active/{ULID}",
        f"done/{ULID}-a.yaml",
        f"done/{ULID}-a.yaml.result.yaml",
        f"done/.{ULID[:-1]}.result",
        f"receipts/jdoe/{ULID}.yaml",
        f"receipts/jdoe/.{ULID}.yaml",
    ],
)
def test_what_has_another_name_stays(spool: Spool, name: str) -> None:
    path = left(spool.root / name)
    assert spool.remove_leftovers() == 0
    assert path.exists()


def test_of_a_link_the_link_is_removed_and_a_directory_with_something_in_it_stays(
    spool: Spool, tmp_path: Path
) -> None:
    elsewhere = left(tmp_path / "elsewhere")
    link = spool.staging / f".{ulid.new()}.tmp"
    link.symlink_to(elsewhere)
    os.utime(link, (0, time.time() - STALE), follow_symlinks=False)
    full = left(spool.staging / f".{ulid.new()}.tmp" / "file").parent
    os.utime(full, (0, time.time() - STALE))
    assert spool.remove_leftovers() == 1
    assert elsewhere.exists() and full.exists()


def test_receipts_behind_a_link_are_left_alone(spool: Spool, tmp_path: Path) -> None:
    behind = left(tmp_path / "behind" / f".{ulid.new()}")
    (spool.receipts / "jdoe").symlink_to(behind.parent)
    assert spool.remove_leftovers() == 0
    assert behind.exists()


def test_nothing_is_left_of_what_ended_well(spool: Spool) -> None:
    submission = spool.take(drop(spool.staging, "a.yaml", b"a: b\n"))
    assert isinstance(submission, Submission)
    spool.move(submission.ulid, "active", "done", submission.name)
    spool.write_result("done", submission.ulid, submission.name, "a: b\n")
    write(spool.receipts, submission.writer, submission.ulid, {"a": "b"})
    hidden = [path for path in spool.root.rglob(".*") if path.name.startswith(".")]
    assert hidden == []
