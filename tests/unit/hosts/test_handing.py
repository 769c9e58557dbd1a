"""A request that another host hands on comes into staging once, whatever is killed when."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from provisioner.hosts.handing import handing, laid
from provisioner.hosts.handing.handing import Receiver, hand_on
from provisioner.journal.hosts import handed
from provisioner.journal.hosts.handed import Handed
from provisioner.journal.journal import Journal
from provisioner.journal.records import request_rows
from provisioner.system import disks, ulid

SPOOL = ""
"""The id of the spool that a journal had first."""

BODY = b"provisioner: 1\naction: lane.pause\nlane: slurm\n"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Journal]:
    made = Journal.open(tmp_path / "journal.db")
    yield made
    made.close()


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    made = tmp_path / "staging"
    made.mkdir()
    return made


def left(book: Journal) -> int:
    with book.reading() as conn:
        return len(handed.waiting(conn)) + len(handed.taken(conn, SPOOL))


def receiver(book: Journal, staging: Path, spool: str = SPOOL) -> Receiver:
    """Return one of an intake that takes files into a directory beside staging."""

    def has(name: str) -> bool:
        return (staging / name).exists() or (staging.parent / name).exists()

    return Receiver(book, staging, lambda: spool, has)


def test_it_comes_into_staging_as_the_services_own_file(book: Journal, staging: Path) -> None:
    name = hand_on(book, "pause.yaml", BODY)
    assert name.startswith(f"pause-{os.uname().nodename}-") and name.endswith(".yaml")
    receiver(book, staging).take()
    assert [path.name for path in staging.iterdir()] == [name]
    assert (staging / name).read_bytes() == BODY
    assert (staging / name).stat().st_mode & 0o777 == 0o600
    assert left(book) == 0


@pytest.mark.parametrize("name", ["../x.yaml", f"{'x' * 200}.yaml", "\x1b[2J.yaml"])
def test_a_name_that_a_file_should_not_have_is_not_used(
    book: Journal, staging: Path, name: str
) -> None:
    assert hand_on(book, name, BODY).startswith("request-")
    receiver(book, staging).take()
    assert len(list(staging.iterdir())) == 1


class Killed(BaseException):
    """The process died."""


STEPS = {
    "before it is written": (laid, "lay", False),
    "before it is taken": (handed, "take", False),
    "as it was taken": (laid, "show", False),
    "as it was shown": (laid, "show", True),
    "before it is forgotten": (handed, "remove", False),
}


def killed_at(
    killed: tuple[ModuleType, str, bool],
    taker: Receiver,
    staging: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[Path]:
    """Let a process die at a step; return the files that were shown by then, as they are taken."""
    of, step, after = killed
    real = getattr(of, step)

    def dying(*words: object) -> object:
        if after:
            real(*words)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(of, step, dying)
        with pytest.raises(Killed):
            taker.take()
    return [path.rename(staging.parent / path.name) for path in staging.glob("[!.]*.yaml")]


@pytest.mark.parametrize("host", [handing._here(), "elsewhere"])
@pytest.mark.parametrize("killed", STEPS.values(), ids=STEPS)
def test_it_comes_once_if_the_intake_is_killed_and_its_host_or_another_one_goes_on(
    book: Journal,
    staging: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed: tuple[ModuleType, str, bool],
    host: str,
) -> None:
    name = hand_on(book, "pause.yaml", BODY)
    taken = killed_at(killed, receiver(book, staging), staging, monkeypatch)
    following = receiver(book, staging)
    following._me = host
    following.take()
    assert [path.name for path in (*taken, *staging.glob("[!.]*"))] == [name]
    assert left(book) == 0


def test_a_host_has_laid_nothing_that_one_has_whose_name_ends_like_its_own(staging: Path) -> None:
    laid.lay(staging, "a.yaml", "login.hpc", BODY)
    assert [list(laid.laid(staging, host)) for host in ("hpc", "login.hpc")] == [[], ["a.yaml"]]


@pytest.mark.parametrize("killed", STEPS.values(), ids=STEPS)
def test_it_comes_once_if_the_intake_is_killed_and_staging_is_another_directory_then(
    book: Journal,
    staging: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed: tuple[ModuleType, str, bool],
) -> None:
    name = hand_on(book, "pause.yaml", BODY)
    taken = killed_at(killed, receiver(book, staging), staging, monkeypatch)
    staging.rename(staging.with_name("former"))
    staging.mkdir()
    receiver(book, staging).take()
    assert [path.name for path in (*taken, *staging.iterdir())] == [name]
    assert left(book) == 0


def test_one_whose_name_cannot_be_flushed_is_shown_later_and_the_others_too(
    book: Journal, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {hand_on(book, f"{word}.yaml", BODY) for word in ("first", "second")}
    taker, flushed, real = receiver(book, staging), list[Path](), disks.flush

    def failing(path: Path) -> None:
        flushed.append(path)
        if len(flushed) == 3:  # two are laid, one is shown
            raise OSError(errno.EIO, "Input/output error")
        real(path)

    monkeypatch.setattr(laid, "flush", failing)
    with pytest.raises(OSError, match="Input/output error"):
        taker.take()
    names.add(hand_on(book, "third.yaml", BODY))
    taker.take()
    assert {path.name for path in staging.iterdir()} == names
    assert left(book) == 0


def test_two_intakes_take_each_once(
    book: Journal, staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, names = tmp_path / "other", {hand_on(book, "pause.yaml", BODY) for _ in range(2)}
    other.mkdir()
    first, second = receiver(book, staging), receiver(book, other, "another")
    second._me = "elsewhere"
    real, laying = laid.lay, list[str]()

    def lay(at: Path, name: str, by: str, body: bytes) -> None:
        real(at, name, by, body)
        laying.append(by)
        if by == first._me and len(laying) == len(names):  # the other one is faster
            second.take()

    monkeypatch.setattr(laid, "lay", lay)
    first.take()
    assert list(staging.iterdir()) == []
    assert {path.name for path in other.iterdir()} == names


def test_a_full_disk_is_logged_and_tried_again(
    book: Journal, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_on(book, "pause.yaml", BODY)
    gone = staging.rename(staging.with_name("gone"))
    taker = receiver(book, staging)
    with pytest.raises(OSError, match="No such file"):
        taker.take()
    gone.rename(staging)
    taker.take()
    assert len(list(staging.iterdir())) == 1


@pytest.mark.parametrize("ahead", [0, 90, -90])
def test_what_hosts_hand_on_is_taken_in_that_order_whatever_their_clocks_say(
    book: Journal, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    names = []
    for host in (0, ahead, 0):
        with monkeypatch.context() as patch:
            patch.setattr(ulid, "_sequence", ulid._Sequence())
            patch.setattr(ulid._sequence, "now", lambda host=host: time.time_ns() + host * 10**9)
            names.append(hand_on(book, "pause.yaml", BODY))
    with book.reading() as conn:
        assert [one.name for one in handed.waiting(conn)] == names


@pytest.mark.parametrize("seconds", [-3600.0, 0.0, 3600.0])
def test_it_comes_once_whichever_clock_its_id_and_that_of_its_request_are_by(
    book: Journal, staging: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    one = Handed(ulid.at(time.time() + seconds), "pause.yaml", BODY)
    with book.transaction() as conn:
        handed.add(conn, one)
    [taken] = killed_at(STEPS["as it was shown"], receiver(book, staging), staging, monkeypatch)
    taken.unlink()
    row = {
        "id": ulid.new(),
        "name": one.name,
        "writer": "root",
        "uid": 0,
        "digest": "",
        "body": b"",
    }
    row |= {"action": "lane.pause", "subject": "lane:slurm", "state": "done", "accepted": 1.0}
    with book.transaction() as conn:
        request_rows.insert_requests(conn, [row])
    receiver(book, staging).take()
    assert list(staging.iterdir()) == []
    assert left(book) == 0


def test_it_comes_once_if_its_file_gets_another_id_while_it_is_looked_for(
    book: Journal, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_on(book, "pause.yaml", BODY)
    killed_at(STEPS["as it was shown"], receiver(book, staging), staging, monkeypatch)
    looks = iter([False, True])
    Receiver(book, staging, lambda: SPOOL, lambda name: next(looks)).take()
    assert list(staging.iterdir()) == []
    assert left(book) == 0
