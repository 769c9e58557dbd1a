"""The redo log gives back what was appended, and nothing that was torn or never committed."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.recovery import redo_log
from provisioner.recovery.redo_log import RedoLog

INSERT = "INSERT INTO t VALUES (?, ?)"
UPDATE = "UPDATE t SET x = ?"


def log(directory: Path) -> RedoLog:
    return RedoLog(directory, "J", 2, "sqlite")


def wrote(directory: Path, *numbers: int) -> RedoLog:
    """Append a transaction of each number."""
    made = log(directory)
    for number in numbers:
        made.append(number, [(INSERT, (number, "x"))])
    return made


def numbers(directory: Path, after: int = 0, journal: str = "J") -> list[int]:
    return [one.number for one in redo_log.read(directory, journal, after)]


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("log-*.jsonl"))


def test_statements_come_back_with_their_values(tmp_path: Path) -> None:
    made = log(tmp_path)
    rows = [(1, "é\n\x1b"), (2.5, None)]
    made.append(1, [(INSERT, rows), (UPDATE, (b"a: request\n",))])
    made.append(2, [(UPDATE, (b"\xff\x00",)), (INSERT, (3, "y"))])
    first, second = redo_log.read(tmp_path, "J", 0)
    assert first.did == (
        (INSERT, [[1, "é\n\x1b"], [2.5, None]]),
        (UPDATE, [[b"a: request\n"]]),
    )
    assert second.did == ((UPDATE, [[b"\xff\x00"]]), (INSERT, [[3, "y"]]))
    assert (first.version, second.version) == (2, 2)


def test_accepted_bytes_can_be_read_by_a_person(tmp_path: Path) -> None:
    log(tmp_path).append(1, [(UPDATE, (b"action: user.provision\n",))])
    assert b"action: user.provision" in files(tmp_path)[0].read_bytes()


@pytest.mark.parametrize(
    ("after", "left"), [(0, [1, 2, 3, 4]), (2, [3, 4]), (4, []), (9, [])], ids=str
)
def test_reading_begins_after_a_position(tmp_path: Path, after: int, left: list[int]) -> None:
    wrote(tmp_path, 1, 2, 3)
    wrote(tmp_path, 4)
    assert numbers(tmp_path, after) == left


def test_a_file_is_begun_for_the_first_transaction_and_after_each_rotation(tmp_path: Path) -> None:
    made = log(tmp_path)
    assert files(tmp_path) == []
    made.append(1, [(INSERT, (1, "x"))])
    made.rotate()
    made.append(2, [(INSERT, (2, "x"))])
    assert len(files(tmp_path)) == 2
    assert numbers(tmp_path) == [1, 2]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files(tmp_path))


def test_a_log_cut_off_anywhere_gives_its_whole_transactions(tmp_path: Path) -> None:
    wrote(tmp_path, 1, 2, 3)
    [path] = files(tmp_path)
    whole = path.read_bytes()
    ends = [n for n, byte in enumerate(whole, 1) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        ended = sum(end <= length for end in ends) - 1
        assert numbers(tmp_path) == [1, 2, 3][: max(0, ended)]


def test_a_torn_transaction_is_written_again_by_the_next_start(tmp_path: Path) -> None:
    wrote(tmp_path, 1, 2)
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    wrote(tmp_path, 2, 3)
    assert numbers(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("place", [0.4, 0.6, 0.9], ids=str)
def test_an_altered_byte_ends_what_is_believed(tmp_path: Path, place: float) -> None:
    wrote(tmp_path, 1, 2, 3)
    [path] = files(tmp_path)
    body = bytearray(path.read_bytes())
    body[int(len(body) * place)] ^= 1
    path.write_bytes(body)
    found = numbers(tmp_path)
    assert found == [1, 2, 3][: len(found)]
    assert len(found) < 3


def test_of_two_transactions_of_one_number_the_later_one_counts(tmp_path: Path) -> None:
    """The first was in the log, and its commit failed."""
    made = log(tmp_path)
    made.append(1, [(INSERT, (1, "not committed"))])
    made.append(1, [(INSERT, (1, "committed"))])
    made.append(2, [(INSERT, (2, "x"))])
    first, _ = redo_log.read(tmp_path, "J", 0)
    assert first.did == ((INSERT, [[1, "committed"]]),)


def test_what_was_not_committed_before_a_restart_does_not_count(tmp_path: Path) -> None:
    wrote(tmp_path, 1, 2, 3)
    made = log(tmp_path)
    made.append(3, [(INSERT, (3, "of the next start"))])
    assert [one.did[0][1] for one in redo_log.read(tmp_path, "J", 2)] == [
        [[3, "of the next start"]]
    ]


def test_nothing_behind_a_gap_is_given(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        wrote(tmp_path, number)
    files(tmp_path)[1].unlink()
    assert numbers(tmp_path) == [1]
    assert numbers(tmp_path, 2) == [3]


@pytest.mark.parametrize("after", [0, 3], ids=["from the start", "after a copy beyond the gap"])
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_nothing_behind_a_lost_line_is_given_whose_statements_later_lines_run(
    tmp_path: Path, lost: int, after: int
) -> None:
    made = log(tmp_path)
    for number in (1, 2, 3, 4):
        made.append(number, [(f"{INSERT} -- {number}", (number, "x"))])
    made.append(5, [(f"{INSERT} -- 1", (5, "x"))])
    [file] = files(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:lost] + lines[lost + 1 :]))
    assert numbers(tmp_path, after) == [number for number in range(1, lost) if number > after]


def test_a_file_that_lost_its_first_line_is_left_out(tmp_path: Path) -> None:
    wrote(tmp_path, 1, 2, 3)
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    assert numbers(tmp_path) == []


def test_another_journals_log_is_left_out(tmp_path: Path) -> None:
    wrote(tmp_path, 1)
    assert numbers(tmp_path, journal="K") == []


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    made = log(tmp_path)
    made._path = tmp_path / "log-000000000000-1.jsonl"
    made._file = os.open(made._path, os.O_WRONLY | os.O_CREAT)
    made._write({"format": 2})
    with pytest.raises(ConfigError, match="a newer format"):
        numbers(tmp_path)


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let files grow to a size only, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, kept)


def test_a_failed_write_names_its_file_and_the_log_goes_on_behind_it(tmp_path: Path) -> None:
    made = wrote(tmp_path, 1)
    [path] = files(tmp_path)
    with room(path.stat().st_size + 20), pytest.raises(OSError) as failed:
        made.append(2, [(INSERT, (2, "y"))])
    assert failed.value.errno == errno.EFBIG
    assert failed.value.filename == str(path)
    made.append(2, [(INSERT, (2, "z"))])
    made.append(3, [(INSERT, (3, "z"))])
    assert numbers(tmp_path) == [1, 2, 3]


def test_a_file_that_was_copied_behind_itself_gives_its_transactions_once(tmp_path: Path) -> None:
    wrote(tmp_path, 1, 2, 3)
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes() * 2)
    assert numbers(tmp_path) == [1, 2, 3]
