"""A spool is made, opened and locked; an unsafe one is refused."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.spool.spool import Spool
from tests.support.spool_files import fifo, put, root_only, symlink, take


def test_create_may_be_repeated_and_keeps_what_is_there(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    put(spool)
    spool.close()
    (tmp_path / "spool" / "held").rmdir()
    again = Spool.create(tmp_path / "spool")
    assert again.waiting(10) == ["a.yaml"]
    again.close()


def test_create_lets_others_in_only_where_they_belong(spool: Spool) -> None:
    def mode(name: str) -> int:
        return stat.S_IMODE((spool.root / name).stat().st_mode)

    assert mode("staging") == (0o1733 if os.geteuid() == 0 else 0o700)
    for place in ("active", "deferred", "held", "done", "failed", "quarantine"):
        assert mode(place) == 0o700
    assert mode("receipts") == 0o711


@root_only
def test_create_for_a_group_keeps_all_others_out(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool", group="daemon")
    found = spool.staging.stat()
    assert stat.S_IMODE(found.st_mode) == 0o1730
    assert found.st_gid == 1
    spool.close()


def test_create_names_an_unknown_group(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no-such-group"):
        Spool.create(tmp_path / "spool", group="no-such-group")


def _remove(root: Path) -> None:
    (root / "deferred").rmdir()


def _open_up(root: Path) -> None:
    (root / "active").chmod(0o770)


def _unstick(root: Path) -> None:
    (root / "staging").chmod(0o733)


def _link(root: Path) -> None:
    (root / "done").rmdir()
    (root / "done").symlink_to("/tmp")


def _writable_parent(root: Path) -> None:
    root.parent.chmod(0o777)


def _writable_root(root: Path) -> None:
    root.chmod(0o777)


def _vanish(root: Path) -> None:
    root.rename(root.parent / "away")


@pytest.mark.parametrize(
    ("spoil", "names", "advice"),
    [
        (_remove, "deferred", "provisioner init"),
        (_open_up, "active", "chmod go-w"),
        (_unstick, "staging", "chmod +t"),
        (_link, "done", "rm"),
        (_writable_parent, "", "chmod go-w"),
        (_writable_root, "spool", "chmod go-w"),
        (_vanish, "spool", "provisioner init"),
    ],
)
def test_an_unsafe_spool_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, spoil: Callable[[Path], None], names: str, advice: str
) -> None:
    (tmp_path / "above").mkdir(mode=0o755)
    root = tmp_path / "above" / "spool"
    Spool.create(root).close()
    spoil(root)
    with pytest.raises(ConfigError) as caught:
        Spool.open(root)
    assert names in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert advice in caught.value.advice


@root_only
def test_a_place_that_belongs_to_another_is_refused(tmp_path: Path) -> None:
    Spool.create(tmp_path / "spool").close()
    os.chown(tmp_path / "spool" / "held", 54321, -1)
    with pytest.raises(ConfigError) as caught:
        Spool.open(tmp_path / "spool")
    assert "54321" in caught.value.message
    assert caught.value.advice.startswith("chown 0 ")


def test_a_second_service_is_refused_and_told_who_is_first(spool: Spool) -> None:
    spool.lock()
    second = Spool.open(spool.root)
    with pytest.raises(ConfigError, match=f"pid {os.getpid()}"):
        second.lock()
    spool.close()
    second.lock()
    second.close()


def test_no_descriptor_is_left_behind(spool: Spool) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    put(spool)
    submission = take(spool)
    spool.move(submission.ulid, "active", "done", submission.name)
    fifo(spool.staging / "f.yaml")
    symlink(spool.staging / "l.yaml")
    for name in spool.waiting(10):
        spool.take(name)
    with pytest.raises(ConfigError):
        Spool.open(spool.root / "nowhere")
    _open_up(spool.root)
    with pytest.raises(ConfigError):
        Spool.open(spool.root)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
