"""Moves and results may be done again."""

import itertools
import os
from pathlib import Path

import pytest

from provisioner.spool.spool import Spool
from tests.support.spool_files import BODY, entries, put, take


def test_a_move_done_again_changes_nothing(spool: Spool) -> None:
    put(spool)
    submission = take(spool)
    assert spool.move(submission.ulid, "active", "done", submission.name)
    assert not spool.move(submission.ulid, "active", "done", submission.name)
    assert entries(spool, "done") == [f"{submission.ulid}-a.yaml"]


def test_a_request_goes_from_place_to_place_under_one_name(spool: Spool) -> None:
    put(spool)
    submission = take(spool)
    way = ("active", "deferred", "held", "active", "failed", "active", "done")
    for source, target in itertools.pairwise(way):
        assert spool.move(submission.ulid, source, target, submission.name)
        assert entries(spool, target) == [f"{submission.ulid}-a.yaml"]
        assert spool.listed(target) == [submission.ulid]
        assert spool.listed(source) == ([submission.ulid] if source == target else [])


def test_a_finished_request_is_found_by_its_ulid_alone_beside_its_result(spool: Spool) -> None:
    put(spool)
    submission = take(spool)
    spool.write_result("failed", submission.ulid, submission.name, "outcome: failed\n")
    spool.move(submission.ulid, "active", "failed", submission.name)
    assert spool.move(submission.ulid, "failed", "active", None)
    spool.discard_result("failed", submission.ulid, submission.name)
    spool.discard_result("failed", submission.ulid, submission.name)
    assert entries(spool, "failed") == []
    assert spool.listed("active") == [submission.ulid]


def test_a_file_goes_back_to_staging_under_its_name_or_a_free_one(spool: Spool) -> None:
    put(spool)
    submission = take(spool)
    assert spool.return_to_staging(submission.ulid, "active", submission.name) == "a.yaml"
    assert spool.return_to_staging(submission.ulid, "active", submission.name) is None
    again = take(spool)
    put(spool, body=b"newer")
    assert spool.return_to_staging(again.ulid, "active", "a.yaml") == f"a-{again.ulid}.yaml"
    assert (spool.staging / "a.yaml").read_bytes() == b"newer"


@pytest.mark.parametrize(
    ("name", "back"),
    [
        (b"a.yaml", "a.yaml"),
        (b"a.b.json", "a.b.json"),
        ("gr\u00fc\u00dfe.yml".encode(), "gr\u00fc\u00dfe.yml"),
        (b"-rf.yaml", "-rf.yaml"),
        (b"new\nline.yaml", "new\\x0aline.yaml"),
        (b"\xff.yaml", "\\xff.yaml"),
        (b"x" * 250 + b".yaml", "x" * 210 + "~.yaml"),
        (b"\x01" * 250 + b".yaml", ("\\x01" * 60)[:210] + "~.yaml"),
    ],
)
def test_after_a_crash_a_file_goes_back_by_its_ulid_alone_under_the_name_that_it_is_shown_by(
    spool: Spool, name: bytes, back: str
) -> None:
    path = Path(os.fsdecode(os.fsencode(spool.staging) + b"/" + name))
    path.write_bytes(BODY)
    path.chmod(0o600)
    [waiting] = spool.waiting(1)
    submission = take(spool, waiting)
    assert spool.return_to_staging(submission.ulid) == back
    assert spool.waiting(10) == [back]
    assert take(spool, back).name == submission.name
