"""A signature follows its request."""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import InvalidRequest
from provisioner.spool.spool import Spool
from provisioner.spool.submission import LIMIT, NotThere, Rejected, Submission
from provisioner.system import entry
from provisioner.system import ulid as ulids
from tests.support.spool_files import (
    directory,
    entries,
    fifo,
    hard_link,
    large,
    listening,
    of_mode,
    put,
    root_only,
    symlink,
    take,
)


def sign(spool: Spool, text: str, name: str = "a.yaml") -> None:
    put(spool, f"{name}.sig", text.encode())


def test_a_signature_is_taken_with_its_request_and_removed_without_it(spool: Spool) -> None:
    put(spool)
    sign(spool, "first")
    submission = take(spool)
    found = spool.companions.signature(submission, LIMIT)
    assert (found.body, found.name) == (b"first", "a.yaml.sig")
    assert entries(spool, "staging") == []
    request = f"{submission.ulid}-a.yaml"
    assert entries(spool, "active") == [request, f"{request}.sig"]
    spool.companions.discard(found)
    assert entries(spool, "active") == [request]


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("name", ["a.yaml", None])
def test_a_signature_goes_back_with_its_request(
    spool: Spool, taken: bool, name: str | None
) -> None:
    put(spool)
    sign(spool, "first")
    submission = take(spool)
    if taken:
        spool.companions.signature(submission, LIMIT)
    assert spool.return_to_staging(submission.ulid, "active", name) == "a.yaml"
    assert (spool.staging / "a.yaml.sig").read_text() == "first"
    assert entries(spool, "active") == []


@pytest.mark.parametrize("both", [True, False])
def test_a_signature_that_goes_back_takes_no_other_ones_place(spool: Spool, both: bool) -> None:
    put(spool)
    sign(spool, "first")
    submission = take(spool)
    spool.companions.signature(submission, LIMIT)
    sign(spool, "second")
    if both:
        put(spool)
    back = f"a-{submission.ulid}.yaml"
    assert spool.return_to_staging(submission.ulid) == back
    assert (spool.staging / f"{back}.sig").read_text() == "first"
    assert (spool.staging / "a.yaml.sig").read_text() == "second"


def test_a_signature_follows_its_request_to_the_name_that_is_free(spool: Spool) -> None:
    put(spool)
    sign(spool, "first")
    submission = take(spool)
    spool.companions.signature(submission, LIMIT)
    put(spool, body=b"newer")
    back = f"a-{submission.ulid}.yaml"
    assert spool.return_to_staging(submission.ulid) == back
    assert sorted(entries(spool, "staging")) == [f"{back}", f"{back}.sig", "a.yaml"]


@pytest.mark.parametrize("make", [symlink, fifo, directory, listening, hard_link, of_mode(0o602)])
def test_a_hostile_signature_is_refused_where_it_lies(
    spool: Spool, make: Callable[[Path], None]
) -> None:
    put(spool)
    make(spool.staging / "a.yaml.sig")
    submission = take(spool)
    with pytest.raises(InvalidRequest):
        spool.companions.signature(submission, LIMIT)
    assert "a.yaml.sig" in entries(spool, "staging")
    assert entries(spool, "active") == [f"{submission.ulid}-a.yaml"]


@pytest.mark.parametrize("make", [symlink, fifo, directory, listening, large, of_mode(0o602)])
def test_what_another_put_in_a_signature_s_place_and_cannot_be_read_counts_as_not_there(
    spool: Spool, make: Callable[[Path], None]
) -> None:
    put(spool)
    make(spool.staging / "a.yaml.sig")
    submission = take(spool)
    with pytest.raises(NotThere):
        spool.companions.signature(replace(submission, uid=submission.uid + 1), LIMIT)


def test_a_signature_that_is_exchanged_while_it_is_taken_is_left_to_its_request(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)
    sign(spool, "first")
    submission = take(spool)
    real = entry.rename_own

    def exchange(*arguments: Any) -> None:
        if arguments[1] == "a.yaml.sig":
            put(spool, ".other", b"second").rename(spool.staging / "a.yaml.sig")
        real(*arguments)

    monkeypatch.setattr("provisioner.spool.attachments.rename_own", exchange)
    with pytest.raises(InvalidRequest, match="changed while it was read"):
        spool.companions.signature(submission, LIMIT)
    monkeypatch.undo()
    assert (spool.staging / "a.yaml.sig").read_text() == "second"


def test_a_result_replaces_an_earlier_one_and_a_crashs_leftover(spool: Spool) -> None:
    ulid = ulids.new()
    (spool.root / "failed" / f".{ulid}.result").symlink_to("/nowhere")
    spool.write_result("failed", ulid, "a.yaml", "first\n")
    entry = spool.write_result("failed", ulid, "a.yaml", "second \udcff\n")
    path = spool.root / "failed" / entry
    assert path.read_text() == "second \\udcff\n"
    assert entries(spool, "failed") == [entry]
    assert stat.S_IMODE(path.stat().st_mode) & 0o037 == 0


NAMES_THAT_ARE_CUT = {"long": "n" * 235 + ".yaml", "unprintable": "a\x07b.yaml"}


@pytest.mark.parametrize("kind", NAMES_THAT_ARE_CUT)
def test_a_signed_file_whose_name_cannot_be_kept_is_refused_and_not_taken_for_unsigned(
    spool: Spool, kind: str
) -> None:
    name = NAMES_THAT_ARE_CUT[kind]
    put(spool, name)
    sign(spool, "first", name)
    found = spool.take(name)
    assert isinstance(found, Rejected)
    assert not found.quarantine
    assert "it is signed, and its name cannot be kept" in found.reason


@pytest.mark.parametrize("length", [200, 235, 255])
def test_a_file_with_a_long_name_and_no_signature_is_taken(spool: Spool, length: int) -> None:
    name = "n" * (length - 5) + ".yaml"
    put(spool, name)
    assert isinstance(spool.take(name), Submission)


@root_only
def test_a_signature_of_somebody_else_beside_a_long_name_refuses_nothing(spool: Spool) -> None:
    name = NAMES_THAT_ARE_CUT["long"]
    put(spool, name)
    sign(spool, "first", name)
    os.chown(spool.staging / f"{name}.sig", 4711, -1)
    assert isinstance(spool.take(name), Submission)
