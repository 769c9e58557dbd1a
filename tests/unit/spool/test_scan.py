"""What the sweep sees, in which order, and by which names."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.spool import scan
from provisioner.spool.spool import Spool, label
from tests.support.spool_files import (
    BODY,
    directory,
    entries,
    fifo,
    of_mode,
    put,
    root_only,
    symlink,
    take,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain.yaml", "plain.yaml"),
        (b"two words.json", "two words.json"),
        ("gr\u00fc\u00dfe.yml".encode(), "gr\u00fc\u00dfe.yml"),
        (b"-rf.yaml", "-rf.yaml"),
        (b"new\nline.yaml", "new\\x0aline.yaml"),
        (b"\x1b[2Jclear.yaml", "\\x1b[2Jclear.yaml"),
        (b"\xff\xfe.yaml", "\\xff\\xfe.yaml"),
        ("\u202eyaml.exe.yaml".encode(), "\\u202eyaml.exe.yaml"),
        (b"x" * 250 + b".yaml", "x" * 210 + "~.yaml"),
        (b"\x01" * 250 + b".yaml", ("\\x01" * 60)[:210] + "~.yaml"),
        (b"--;$(reboot).yaml", "--;$(reboot).yaml"),
    ],
)
def test_any_name_can_be_taken_finished_and_shown(spool: Spool, name: bytes, shown: str) -> None:
    (Path(os.fsdecode(os.fsencode(spool.staging) + b"/" + name))).write_bytes(BODY)
    (Path(os.fsdecode(os.fsencode(spool.staging) + b"/" + name))).chmod(0o600)
    [waiting] = spool.waiting(10)
    submission = take(spool, waiting)
    assert submission.name == shown
    assert label(submission.name) == submission.name
    result = spool.write_result("done", submission.ulid, submission.name, "outcome: done\n")
    assert spool.move(submission.ulid, "active", "done", submission.name)
    assert entries(spool, "done") == sorted([f"{submission.ulid}-{shown}", result])
    assert result == f"{submission.ulid}-{shown}.result.yaml"


@pytest.mark.parametrize("name", [".a.yaml", "a.tmp", "a", "a.yaml.part", "a.YAML", "yaml"])
def test_what_is_not_named_as_a_request_is_not_there(spool: Spool, name: str) -> None:
    put(spool, name)
    assert spool.waiting(10) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("X.YAML", True),
        ("x.Yml", True),
        ("x.yaml.txt", True),
        ("x.json~", True),
        ("x.yaml.filepart", True),
        ("x.yaml (1)", True),
        ("x.yaml", False),
        ("x.yaml.sig", False),
        ("x.YAML.sig", True),
        ("x.yaml.result.yaml", True),
        ("request.txt", True),
        ("request", True),
        ("users.jsonl", True),
        (".x.YAML", False),
    ],
)
def test_what_is_no_request_is_told_after_a_minute(spool: Spool, name: str, told: bool) -> None:
    path = put(spool, name)
    assert scan.passed_over(Path(spool.staging).parent) == []
    os.utime(path, (1, 1))
    assert scan.passed_over(Path(spool.staging).parent) == ([name] if told else [])


def test_few_files_come_in_order_of_their_time(spool: Spool) -> None:
    for age, name in enumerate(["c.yaml", "a.json", "b.yml"]):
        os.utime(put(spool, name), (1000 + age, 1000 + age))
    for portion in (["c.yaml", "a.json"], ["b.yml"]):
        assert spool.waiting(2) == portion
        for name in portion:
            take(spool, name)


def test_many_files_come_in_portions_each_once_in_order_of_their_time(spool: Spool) -> None:
    names = [f"{number}.yaml" for number in range(1500)]
    for age, name in enumerate(names):  # whatever inodes they have
        os.utime(put(spool, name), (5000 - age, 5000 - age))
    given: list[str] = []
    while portion := spool.waiting(256):
        assert len(portion) <= 256
        given += portion
        for name in portion:
            take(spool, name)
    assert given == names[::-1]


def writes(uid: int, spool: Spool, make: Callable[[Path], object], *names: str) -> None:
    """Have a user put something into staging under some names."""
    for name in names:
        make(spool.staging / name)
        os.chown(spool.staging / name, uid, uid, follow_symlinks=False)


def plain(path: Path) -> None:
    path.write_bytes(BODY)
    path.chmod(0o600)


def serve(spool: Spool, portion: list[str]) -> list[str]:
    """Claim a portion, as the service does before it asks for the next."""
    for name in portion:
        spool.take(name)
    return portion


@root_only
@pytest.mark.parametrize("make", [plain, symlink, fifo, directory, of_mode(0o620)])
@pytest.mark.parametrize("count", [600, 1500])
def test_one_writers_backlog_is_nobody_elses(
    spool: Spool, make: Callable[[Path], object], count: int
) -> None:
    writes(54321, spool, make, *(f"{number}.yaml" for number in range(count)))
    writes(54322, spool, plain, "other.yaml")
    assert "other.yaml" in serve(spool, spool.waiting(10))
    assert len(serve(spool, spool.waiting(10))) == 10


@root_only
@pytest.mark.parametrize("count", [600, 1500])
def test_what_comes_behind_a_backlog_is_in_the_next_portion(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(scan, "_SELDOM", 0)
    writes(54321, spool, plain, *(f"{number}.yaml" for number in range(count)))
    serve(spool, spool.waiting(10))
    writes(54322, spool, plain, "later.yaml")
    assert "later.yaml" in serve(spool, spool.waiting(10))


def test_a_staging_directory_that_becomes_unsafe_gives_no_more_of_its_backlog(spool: Spool) -> None:
    for number in range(20):
        put(spool, f"{number}.yaml")
    assert len(serve(spool, spool.waiting(10))) == 10
    spool.staging.chmod(0o777)
    assert spool.waiting(10) == []
    spool.staging.chmod(0o700)
    assert len(serve(spool, spool.waiting(20))) == 10


def test_a_staging_directory_that_is_made_anew_is_taken_up(spool: Spool) -> None:
    spool.staging.rmdir()
    assert spool.waiting(10) == []
    assert str(spool.staging) in spool.trouble
    assert "provisioner init" in spool.trouble
    spool.staging.mkdir(mode=0o700)
    put(spool)
    assert spool.waiting(10) == ["a.yaml"]
    assert spool.trouble == ""
    assert take(spool).body == BODY


def test_a_staging_directory_that_became_unsafe_gives_nothing(spool: Spool) -> None:
    put(spool)
    spool.staging.chmod(0o777)
    assert spool.waiting(10) == []
    assert "chmod +t" in spool.trouble
    spool.staging.chmod(0o700)
    assert spool.waiting(10) == ["a.yaml"]


@root_only
def test_a_staging_directory_that_cannot_be_read_gives_nothing_until_it_can() -> None:
    # Not below pytest's own directories, which nobody else may pass.
    with TemporaryDirectory(prefix="spool-") as top:
        os.chown(top, 65534, 65534)
        os.seteuid(65534)
        try:
            spool = Spool.create(Path(top) / "spool")
            put(spool)
            spool.staging.chmod(0)
            assert spool.waiting(10) == []
            assert "Permission denied" in spool.trouble
            spool.staging.chmod(0o700)
            assert spool.waiting(10) == ["a.yaml"]
            assert take(spool).body == BODY
            spool.close()
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOSPC, errno.EIO, errno.EXDEV])
@pytest.mark.parametrize("call", ["rename_own", "open_unwritten", "read"])
def test_a_file_that_cannot_be_taken_is_left_for_later(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    put(spool)

    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(f"provisioner.spool.spool.{call}", fail)
    assert spool.take("a.yaml") is None
    monkeypatch.undo()
    assert entries(spool, "staging") == ["a.yaml"]
    assert entries(spool, "active") == []
    assert spool.waiting(10) == []
    assert spool.due_in() is not None


def test_a_sweep_that_fails_says_so_and_goes_on_later(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)

    def fail(*arguments: object, **named: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", fail)
    assert spool.waiting(10) == []
    assert "Too many open files" in spool.trouble
    monkeypatch.undo()
    assert spool.waiting(10) == ["a.yaml"]
    assert spool.trouble == ""


def test_a_file_that_is_no_request_is_logged_once_after_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    strays = scan.Strays()
    for second in range(0, 300, 10):
        strays.saw({"request.txt"}, float(second))
        assert len(caplog.records) == (second >= 60)
    assert "request.txt" in caplog.text


def test_very_many_files_that_are_no_requests_are_one_line_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    strays, names = scan.Strays(), [f"{number}.txt" for number in range(900)]
    for second in range(0, 180, 2):
        strays.saw(names[: second * 5], float(second))
    assert len(caplog.records) == 2
    assert "more. A request's" in caplog.messages[0]


def test_a_file_that_went_and_came_again_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    strays = scan.Strays()
    for second, names in ((0, {"a"}), (61, {"a"}), (130, set()), (140, {"a"}), (205, {"a"})):
        strays.saw(names, float(second))
    assert len(caplog.records) == 2


def test_the_sweep_tells_what_is_no_request(
    spool: Spool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool, "request.txt")
    monkeypatch.setattr(scan, "_SETTLED", 0.0)
    assert spool.waiting(10) == []
    assert "never taken from staging because of their names: request.txt" in caplog.text


def test_any_number_of_files_that_cannot_be_taken_are_some_lines_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = scan.Failures()
    for number in range(30_000):
        failures.saw(f"{number}.yaml", "Is a directory", now=100.0)
    assert len(caplog.messages) == 20
    failures.saw("0.yaml", "Is a directory", now=161.0)
    assert caplog.messages[20:] == [
        "29980 more could not be taken from staging within a minute",
        "0.yaml cannot be taken from staging: Is a directory",
    ]
