"""The durable writer: whole files under free names, or nothing."""

import os
import stat
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.spool.spool import Spool, Submission
from provisioner.spool.submit import drop
from tests.support.directories import let_pass


def test_a_dropped_file_is_whole_private_and_taken_at_once(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    before = os.umask(0)
    try:
        assert drop(spool.staging, "a.yaml", b"x" * 60_000) == "a.yaml"
    finally:
        os.umask(before)
    assert stat.S_IMODE((spool.staging / "a.yaml").stat().st_mode) == 0o600
    [name] = spool.waiting(10)
    submission = spool.take(name)
    assert isinstance(submission, Submission)
    assert (submission.body, submission.alone) == (b"x" * 60_000, True)
    spool.close()


def test_a_taken_name_is_not_replaced(tmp_path: Path) -> None:
    drop(tmp_path, "a.yaml", b"first")
    name = drop(tmp_path, "a.yaml", b"second")
    assert name.startswith("a-") and name.endswith(".yaml")
    assert (tmp_path / "a.yaml").read_bytes() == b"first"
    assert (tmp_path / name).read_bytes() == b"second"


def test_a_link_under_the_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "elsewhere")
    assert drop(tmp_path, "a.yaml", b"body") != "a.yaml"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("", ".a.yaml", "../a.yaml", "a/b.yaml", "a.txt", "a\0.yaml", "x" * 200 + ".yaml"),
        *("a.result.yaml", ".result.yaml"),
    ],
)
def test_what_the_sweep_would_not_take_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot name|does not end|longer|as a result"):
        drop(tmp_path, name, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_staging_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        drop(tmp_path / "nowhere", "a.yaml", b"")


@pytest.mark.parametrize("call", ["fsync", "write", "open"])
def test_a_failing_disk_leaves_nothing_that_could_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real_open = os.open

    def fail(*arguments: object, **named: object) -> int:
        if call == "open" and arguments[0] != "." and not str(arguments[0]).startswith("."):
            return real_open(*arguments, **named)  # type: ignore[arg-type]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        drop(tmp_path, "a.yaml", b"body")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_writer_who_may_not_list_staging_can_drop(tmp_path: Path) -> None:
    let_pass(tmp_path)
    staging = tmp_path / "staging"
    staging.mkdir()
    staging.chmod(0o1733)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(54321)
            os.setuid(54321)
            code = 0 if drop(staging, "a.yaml", b"body") == "a.yaml" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (staging / "a.yaml").stat().st_uid == 54321
    assert [path.name for path in staging.iterdir()] == ["a.yaml"]
