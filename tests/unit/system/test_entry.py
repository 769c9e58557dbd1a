"""An entry is opened and looked at as the kernel does it by name, but never across a mount."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.system import entry
from tests.support.spool_files import dangling, directory, fifo, listening, of_mode, sparse

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@pytest.fixture(params=["openat2", "by name"])
def top(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A directory; with this kernel's call, and as on a kernel that has none."""
    if request.param == "by name":
        monkeypatch.setattr(entry, "_OPENAT2", 100_000)
        entry._has_openat2.cache_clear()
    opened = os.open(tmp_path, os.O_RDONLY)
    request.addfinalizer(lambda: os.close(opened))
    request.addfinalizer(entry._has_openat2.cache_clear)
    return opened


@pytest.mark.parametrize("make", [of_mode(0o640), dangling, directory, fifo, listening, sparse])
def test_what_is_seen_is_the_entry_itself(
    top: int, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "a")
    seen, there = entry.look(top, "a"), (tmp_path / "a").lstat()
    assert seen[:9] == there[:9]
    assert (seen.st_mtime_ns, seen.st_ctime_ns) == (there.st_mtime_ns, there.st_ctime_ns)


def test_names_are_bytes(top: int) -> None:
    os.close(os.open("\udcff\n.yaml", os.O_CREAT | os.O_WRONLY, dir_fd=top))
    assert entry.look(top, "\udcff\n.yaml").st_size == 0


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: None, errno.ENOENT),
        (dangling, errno.ELOOP),
        (listening, errno.ENXIO),
        (of_mode(0o600), 0),
        (directory, 0),
        (fifo, 0),
    ],
)
def test_it_is_opened_or_refused_as_by_os_open(
    top: int, tmp_path: Path, make: Callable[[Path], object], code: int
) -> None:
    make(tmp_path / "a")
    try:
        opened = entry.open_at(top, "a", READ)
    except OSError as error:
        assert error.errno == code
        assert type(error) is type(OSError(code, ""))
    else:
        assert code == 0
        assert os.path.samestat(os.fstat(opened), (tmp_path / "a").lstat())
        os.close(opened)


@pytest.mark.parametrize("call", [entry.look, lambda at, name: entry.open_at(at, name, READ)])
def test_a_name_does_not_end_where_c_would_end_it(
    top: int, tmp_path: Path, call: Callable[[int, str], object]
) -> None:
    of_mode(0o600)(tmp_path / "a")
    with pytest.raises(ValueError, match="null"):
        call(top, "a\0.yaml")


def test_looking_leaves_no_descriptor_open(top: int, tmp_path: Path) -> None:
    of_mode(0o600)(tmp_path / "a")
    entry.look(top, "a")
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        entry.look(top, "a")
    assert set(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize(
    ("code", "ours"),
    [(errno.EMFILE, True), (errno.ENFILE, True), (errno.EXDEV, False), (errno.EACCES, False)],
)
def test_an_error_is_the_process_s_or_the_entry_s(code: int, ours: bool) -> None:
    assert entry.is_of_process(OSError(code, "")) == ours
