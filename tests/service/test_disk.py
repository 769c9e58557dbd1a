"""A full disk stops new work and no outcome; a failing one ends the service, which then goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.journal.journal import JournalFull
from provisioner.recovery import startup
from provisioner.recovery.reserve import NAME
from tests.support.cli_site import PROGRAM, Desk, call, user
from tests.support.engine_site import Site, allocation

pytestmark = pytest.mark.root


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(path)], check=True)
    path.chmod(0o755)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Write until nothing is left of a disk but some bytes; return the file that has it."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
        if leave:
            file.truncate(file.tell() - leave)
    return ballast


def waiting(site: Site) -> list[str]:
    return sorted(path.name for path in site.spool.staging.iterdir())


def put(site: Site, name: str, text: str) -> None:
    path = site.spool.staging / name
    path.write_text(text)
    path.chmod(0o600)


def test_outcomes_are_recorded_on_a_full_disk_and_new_work_waits_in_staging(disk: Path) -> None:
    site = Site(disk)
    site.drop(allocation(1, "ann"), "one.yaml")
    put(site, "two.yaml", allocation(2, "bob"))
    ballast = fill(disk)
    site.take()
    assert waiting(site) == ["two.yaml"]
    assert len(site.open()) == 1
    site.drain()
    assert site.open() == []
    reserve = site.config.journal_places[0] / NAME
    assert not reserve.exists(), "the reserve was given up for it"
    site.take()
    assert waiting(site) == ["two.yaml"]
    ballast.unlink()
    site.take()
    site.drain()
    assert waiting(site) == []
    assert reserve.exists()
    assert site.states()["done"] == ["one.yaml", "two.yaml"]


def test_a_full_disk_is_told_by_queue_and_doctor_until_there_is_room(disk: Path) -> None:
    desk = Desk(disk / "box")
    desk.serve(user("jdoe"))
    ballast = fill(disk)
    assert "no room on the disk" in desk("queue").out
    assert "free space" in desk("queue", "--json").json["trouble"]
    told = desk("doctor", "--json", code=None).json
    assert [one["level"] for one in told if "no room on the disk" in one["message"]] == ["error"]
    ballast.unlink()
    assert "no room" not in desk("queue").out
    assert "no room" not in desk("doctor", code=None).out


def test_what_finds_no_room_of_a_batch_goes_back_to_staging(disk: Path) -> None:
    site = Site(disk)
    names = [f"{number:03}.yaml" for number in range(200)]
    for number, name in enumerate(names):
        put(site, name, "# " + "x" * 50000 + "\n" + allocation(number + 1, "ann"))
    ballast = fill(disk, leave=5 * 1024 * 1024)
    with pytest.raises(JournalFull):
        site.take()
    taken = [record.name for record in site.open()]
    assert sorted([*taken, *waiting(site)]) == names
    assert len(taken) < len(names)
    assert len(list((site.config.spool / "active").iterdir())) == len(taken)
    ballast.unlink()
    for name in waiting(site)[10:]:
        (site.spool.staging / name).unlink()
    site.take()
    assert len(site.open()) == len(taken) + 10


def under(desk: Desk, *strace: str) -> subprocess.CompletedProcess[str]:
    """Run the service with system calls that fail."""
    words = ["strace", "-f", "-o", "/dev/null", *strace, *PROGRAM, "run"]
    env = {**os.environ, "PROVISIONER_CONFIG": str(desk.config)}
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("error", "of"),
    [("EROFS", "the redo log"), ("EIO", "the journal")],
)
def test_a_disk_that_fails_at_a_flush_ends_the_service_and_nothing_is_lost(
    tmp_path: Path, error: str, of: str
) -> None:
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    desk("submit", desk.file("asmith.yaml", user("asmith")))
    only = () if of == "the redo log" else ("-P", f"{desk.root}/journal/journal.db-wal")
    ended = under(desk, "-e", f"inject=fsync,fdatasync:error={error}", *only)
    assert ended.returncode == 1
    assert f"provisioner: {of}" in ended.stderr and "nothing more is written" in ended.stderr
    assert "start the service again" in ended.stderr
    assert desk("queue", "--json").json["counts"] == {"done": 1}
    desk("run", "--drain")
    assert desk("queue", "--json").json["counts"] == {"done": 2}


def begin(disk: Path, verb: str) -> tuple[int, str]:
    """Type a verb of a new site on a disk; return how it ended, and what it said."""
    config = disk / "site.yaml"
    if not config.exists():
        config.write_text("service: t\nspool: spool\njournal: j/journal.db\nhandlers: {}\n")
    done = call(*verb.split(), config=str(config))
    return done.code, done.err


def test_a_first_start_on_a_full_disk_names_the_path_and_what_to_type(disk: Path) -> None:
    assert begin(disk, "init") == (0, "")
    fill(disk)
    code, said = begin(disk, "run --drain")
    lock = disk / "spool/lock"
    assert code == 1
    assert f"{lock}: No space left on device" in said
    assert f"what to do: make room on that disk (df -h {lock}" in said


def test_a_spool_is_not_made_on_a_disk_that_is_read_only_and_the_path_is_named(disk: Path) -> None:
    (disk / "site.yaml").write_text("service: t\nspool: s\njournal: journal.db\nhandlers: {}\n")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, said = begin(disk, "init")
    assert code == 1
    assert f"{disk / 's'}: Read-only file system" in said
    assert f"findmnt -T {disk / 's'}" in said


def test_a_first_start_of_a_user_without_rights_names_the_path_and_what_to_type() -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with TemporaryDirectory() as made:
        site = Path(made)
        site.chmod(0o755)
        (site / "site.yaml").write_text("service: t\nspool: s\njournal: journal.db\nhandlers: {}\n")
        done = typed(site, *nobody, *PROGRAM, "init")
    assert done.returncode == 1
    assert f"{site / 's'}: Permission denied" in done.stderr
    assert f"what to do: check who owns each directory (namei -l {site / 's'})" in done.stderr


def test_a_first_start_of_a_user_outside_the_staging_group_names_user_and_group() -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with TemporaryDirectory() as made:
        site = Path(made)
        os.chown(site, 65534, 65534)
        (site / "site.yaml").write_text(
            "service: t\nspool: s\njournal: j/journal.db\nhandlers: {}\nstaging_group: daemon\n"
        )
        done = typed(site, *nobody, *PROGRAM, "init")
    assert done.returncode == 4
    assert f"{site / 's/staging'}: only root or a member of the group daemon" in done.stderr
    assert "nobody is not a member" in done.stderr
    assert "usermod --append --groups daemon nobody" in done.stderr


def test_a_first_start_beyond_a_user_s_quota_names_the_path_and_what_to_type(
    tmp_path: Path,
) -> None:
    """The error is put in: a quota of a user needs a kernel and a file system that have some."""
    assert begin(tmp_path, "init") == (0, "")
    lock = tmp_path / "spool/lock"
    beyond = ["-P", str(lock), "-e", "inject=openat,write,ftruncate:error=EDQUOT"]
    done = typed(tmp_path, "strace", "-f", "-o", "/dev/null", *beyond, *PROGRAM, "run", "--drain")
    assert done.returncode == 1
    assert f"{lock}: Disk quota exceeded" in done.stderr
    assert "what to do: make room, or raise the quota of the service's user (quota -s)" in (
        done.stderr
    )


def test_a_start_for_which_a_full_disk_has_no_room_is_tried_again(tmp_path: Path) -> None:
    """systemd never repeats what ends with 4; SQLite says that such a journal cannot be opened."""
    assert begin(tmp_path, "init") == (0, "")
    shared = ["-P", str(tmp_path / "j/journal.db-shm"), "-e", "inject=pwrite64:error=ENOSPC"]
    done = typed(tmp_path, "strace", "-f", "-o", "/dev/null", *shared, *PROGRAM, "run", "--drain")
    assert "journal.db cannot be opened: disk I/O error" in done.stderr
    assert "whether the disk is full" in done.stderr
    assert done.returncode == 1


def typed(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Type words for the site of a directory."""
    env = {**os.environ, "PROVISIONER_CONFIG": str(site / "site.yaml")}
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_what_names_its_spool_s_journal_says_where_there_is_no_room(disk: Path) -> None:
    fill(disk)
    with pytest.raises(OSError, match="No space left") as caught:
        startup.name(disk, "J")
    assert caught.value.filename == str(disk / ".journal")
