"""The spool: what is taken, what is refused, what is left alone, and what may be done again."""

import contextlib
import errno
import fcntl
import itertools
import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from provisioner import rename
from provisioner import ulid as ulids
from provisioner.contract import ConfigError, InvalidRequest
from provisioner.requestfile import LIMIT, user_name
from provisioner.spool import Claimed, Rejected, Spool, label

BODY = b"provisioner: 1\naction: user.provision\n"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool.create(tmp_path / "spool")
    yield made
    made.close()


def put(spool: Spool, name: str = "a.yaml", body: bytes = BODY, mode: int = 0o600) -> Path:
    path = spool.staging / name
    path.write_bytes(body)
    path.chmod(mode)
    return path


def take(spool: Spool, name: str = "a.yaml") -> Claimed:
    claimed = spool.claim(name)
    assert isinstance(claimed, Claimed)
    return claimed


def entries(spool: Spool, place: str) -> list[str]:
    return sorted(os.listdir(spool.root / place))  # noqa: PTH208 - names may be hostile


# Claiming.


def test_a_claim_takes_the_file_and_says_who_asks(spool: Spool) -> None:
    path = put(spool)
    found = path.stat()
    claimed = take(spool)
    assert ulids.is_ulid(claimed.ulid)
    assert (claimed.name, claimed.body, claimed.size) == ("a.yaml", BODY, len(BODY))
    assert (claimed.uid, claimed.writer) == (os.geteuid(), user_name(os.geteuid()))
    assert (claimed.device, claimed.inode) == (found.st_dev, found.st_ino)
    assert claimed.mtime_ns == found.st_mtime_ns
    assert entries(spool, "staging") == []
    assert entries(spool, "active") == [f"{claimed.ulid}-a.yaml"]


def test_a_file_that_is_gone_is_nothing(spool: Spool) -> None:
    assert spool.claim("gone.yaml") is None


def test_an_empty_file_is_claimed_and_left_to_the_parser(spool: Spool) -> None:
    put(spool, body=b"")
    assert take(spool).body == b""


def test_the_largest_request_is_claimed(spool: Spool) -> None:
    put(spool, body=b"x" * LIMIT)
    assert take(spool).size == LIMIT


def test_only_one_of_many_claimers_gets_a_file(spool: Spool) -> None:
    names = [f"{number}.yaml" for number in range(200)]
    for name in names:
        put(spool, name)
    others = [Spool.open(spool.root) for _ in range(4)]
    won: list[str] = []

    def claim_all(of: Spool) -> None:
        won.extend(name for name in names if isinstance(of.claim(name), Claimed))

    threads = [threading.Thread(target=claim_all, args=(of,)) for of in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A claimer may pass a file over while another holds it open; nobody gets one twice.
    for name in set(names) - set(won):
        assert isinstance(spool.claim(name), Claimed)
        won.append(name)
    assert sorted(won) == sorted(names)
    assert len(entries(spool, "active")) == 200
    for of in others:
        of.close()


def _symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _dangling(path: Path) -> None:
    path.symlink_to("/nowhere")


def _hard_link(path: Path) -> None:
    (path.parent / ".other").write_bytes(BODY)
    (path.parent / ".other").chmod(0o600)
    path.hardlink_to(path.parent / ".other")


def _fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _socket(path: Path) -> None:
    # The path of a socket is at most 107 bytes long.
    with socket.socket(socket.AF_UNIX) as made, _inside(path.parent):
        made.bind(path.name)


class _inside:  # noqa: N801 - reads as a verb
    def __init__(self, directory: Path) -> None:
        self._directory, self._before = directory, Path.cwd()

    def __enter__(self) -> None:
        os.chdir(self._directory)

    def __exit__(self, *exc: object) -> None:
        os.chdir(self._before)


def _directory(path: Path) -> None:
    path.mkdir()


def _mode(mode: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(BODY)
        path.chmod(mode)

    return make


def _large(path: Path) -> None:
    path.write_bytes(b"x" * (LIMIT + 1))
    path.chmod(0o600)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("make", "says", "quarantine"),
    [
        (_symlink, "symbolic link", True),
        (_dangling, "symbolic link", True),
        (_hard_link, "2 links", True),
        (_fifo, "FIFO", True),
        (_socket, "socket", True),
        (_directory, "directory", True),
        (_mode(0o4600), "setuid", True),
        (_mode(0o2610), "setgid", True),
        (_mode(0o620), "others may write", False),
        (_mode(0o602), "chmod go-w", False),
        (_large, "more than 65536", False),
        (_sparse, "1099511627776 bytes", False),
    ],
)
def test_a_hostile_file_is_set_aside_with_its_reason(
    spool: Spool, make: Callable[[Path], None], says: str, quarantine: bool
) -> None:
    make(spool.staging / "bad.yaml")
    put(spool, "good.yaml")
    rejected = spool.claim("bad.yaml")
    assert isinstance(rejected, Rejected)
    assert says in rejected.reason
    assert (rejected.name, rejected.quarantine) == ("bad.yaml", quarantine)
    assert rejected.writer == user_name(os.geteuid())
    place = "quarantine" if quarantine else "failed"
    assert spool.move(rejected.ulid, "active", place, rejected.name)
    assert entries(spool, place) == [f"{rejected.ulid}-bad.yaml"]
    assert take(spool, "good.yaml").body == BODY


@root_only
def test_a_device_is_set_aside(spool: Spool) -> None:
    os.mknod(spool.staging / "null.yaml", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    rejected = spool.claim("null.yaml")
    assert isinstance(rejected, Rejected)
    assert "device" in rejected.reason


@root_only
def test_the_writer_is_the_owner_of_the_file(spool: Spool) -> None:
    os.chown(put(spool), 54321, -1)
    claimed = take(spool)
    assert (claimed.uid, claimed.writer) == (54321, "uid-54321")


# Files that are still written.


def test_a_file_that_is_still_written_is_left_alone_until_it_is_closed(spool: Spool) -> None:
    path = put(spool, body=b"")
    with path.open("wb") as writer:
        writer.write(BODY[:10])
        writer.flush()
        assert spool.claim("a.yaml") is None
        assert entries(spool, "staging") == ["a.yaml"]
        assert spool.waiting(10) == []
        due = spool.due_in()
        assert due is not None and due <= 0.25
        writer.write(BODY[10:])
    deadline = time.monotonic() + 5
    while not (names := spool.waiting(10)) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert names == ["a.yaml"]
    claimed = take(spool)
    assert claimed.body == BODY
    assert claimed.alone
    assert spool.due_in() is None


def test_a_writer_that_comes_while_the_file_is_read_does_not_end_the_service(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(spool)
    script = f"import os; os.open({str(path)!r}, os.O_WRONLY | os.O_NONBLOCK)"
    tried: list[int] = []
    real_fstat = os.fstat

    def intrude(file: int) -> os.stat_result:
        if not tried:
            target = f"/proc/{os.getpid()}/fd/{file}"
            code = script.replace(repr(str(path)), repr(target))
            tried.append(subprocess.run([sys.executable, "-c", code], check=False).returncode)
        return real_fstat(file)

    monkeypatch.setattr(os, "fstat", intrude)
    claimed = spool.claim("a.yaml")
    monkeypatch.undo()
    # The intruder was refused (EWOULDBLOCK) and we are still here, though the kernel signalled.
    assert tried == [1]
    assert isinstance(claimed, Claimed)


def test_a_file_that_changes_while_it_is_read_is_put_back_and_taken_whole_later(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)
    real_read = os.read

    def change(file: int, size: int) -> bytes:
        os.utime(f"/proc/self/fd/{file}", (1, 1))
        return real_read(file, size)

    monkeypatch.setattr(os, "read", change)
    assert spool.claim("a.yaml") is None
    monkeypatch.undo()
    assert entries(spool, "staging") == ["a.yaml"]
    assert entries(spool, "active") == []
    assert take(spool).body == BODY


def test_the_lease_ends_with_the_claim(spool: Spool) -> None:
    put(spool)
    claimed = take(spool)
    file = os.open(spool.root / "active" / f"{claimed.ulid}-a.yaml", os.O_RDONLY)
    assert fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_UNLCK
    os.close(file)


def test_a_name_given_to_another_file_meanwhile_is_put_back(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)
    other = spool.root / "other"
    other.write_bytes(b"other")
    other.chmod(0o600)
    real_new = ulids.new

    def exchange() -> str:
        other.rename(spool.staging / "a.yaml")
        return real_new()

    monkeypatch.setattr(ulids, "new", exchange)
    assert spool.claim("a.yaml") is None
    monkeypatch.undo()
    assert entries(spool, "active") == []
    assert take(spool).body == b"other"


def test_a_file_that_cannot_be_moved_is_passed_over_and_holds_up_nobody(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)
    put(spool, "b.yaml")

    def denied(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("provisioner.spool.rename_new", denied)
    assert spool.claim("a.yaml") is None
    monkeypatch.undo()
    assert spool.waiting(10) == ["b.yaml"]


def _torment(staging: Path, seed: int, rounds: int) -> None:
    """Write in two halves, exchange names, plant links and FIFOs, reopen for writing."""
    chance = random.Random(seed)
    names = [staging / f"{number}.yaml" for number in range(6)]
    for round_number in range(rounds):
        name, other = chance.sample(names, 2)
        with contextlib.suppress(OSError):
            match chance.randrange(6):
                case 0:
                    os.mkfifo(name, 0o600)
                case 1:
                    name.symlink_to(other)
                case 2:
                    name.hardlink_to(other)
                case 3:
                    name.rename(other)
                case _:
                    scratch = staging / f".{seed}-{round_number}"
                    file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    os.write(file, BODY[:10])
                    scratch.rename(name)
                    os.write(file, BODY[10:])
                    os.close(file)


def test_under_torment_no_part_of_a_file_is_taken_and_nothing_is_waited_for(
    spool: Spool,
) -> None:
    tormentors = [
        threading.Thread(target=_torment, args=(spool.staging, seed, 1500)) for seed in range(2)
    ]
    for thread in tormentors:
        thread.start()
    found: list[Claimed | Rejected | None] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running = any(thread.is_alive() for thread in tormentors)
        found += [spool.claim(name) for name in spool.waiting(10)]
        if not running and not spool.waiting(10) and spool.due_in() is None:
            break
    for thread in tormentors:
        thread.join()
    taken = [one for one in found if one is not None]
    assert {one.body for one in taken if isinstance(one, Claimed)} == {BODY}
    assert sorted(one.ulid for one in taken) == spool.listed("active")
    assert spool.waiting(10) == []


# Names.


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
def test_any_name_can_be_claimed_finished_and_shown(spool: Spool, name: bytes, shown: str) -> None:
    (Path(os.fsdecode(os.fsencode(spool.staging) + b"/" + name))).write_bytes(BODY)
    (Path(os.fsdecode(os.fsencode(spool.staging) + b"/" + name))).chmod(0o600)
    [waiting] = spool.waiting(10)
    claimed = take(spool, waiting)
    assert claimed.name == shown
    assert label(claimed.name) == claimed.name
    result = spool.write_result("done", claimed.ulid, claimed.name, "outcome: done\n")
    assert spool.move(claimed.ulid, "active", "done", claimed.name)
    assert entries(spool, "done") == sorted([f"{claimed.ulid}-{shown}", result])
    assert result == f"{claimed.ulid}-{shown}.result.yaml"


@pytest.mark.parametrize("name", [".a.yaml", "a.tmp", "a", "a.yaml.part", "a.YAML", "yaml"])
def test_what_is_not_named_as_a_request_is_not_there(spool: Spool, name: str) -> None:
    put(spool, name)
    assert spool.waiting(10) == []


# The sweep.


def test_few_files_come_in_order_of_their_time(spool: Spool) -> None:
    for age, name in enumerate(["c.yaml", "a.json", "b.yml"]):
        os.utime(put(spool, name), (1000 + age, 1000 + age))
    assert spool.waiting(2) == ["c.yaml", "a.json"]
    assert spool.waiting(2) == ["b.yml"]


def test_many_files_come_in_portions_each_once(spool: Spool) -> None:
    names = {f"{number}.yaml" for number in range(1500)}
    for name in names:
        put(spool, name)
    given: list[str] = []
    while portion := spool.waiting(256):
        assert len(portion) <= 256
        given += portion
        for name in portion:
            take(spool, name)
    assert len(given) == 1500
    assert set(given) == names


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
@pytest.mark.parametrize("call", ["rename_new", "open_unwritten", "read"])
def test_a_claim_that_fails_leaves_the_file_for_later(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    put(spool)

    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(f"provisioner.spool.{call}", fail)
    assert spool.claim("a.yaml") is None
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


# Moves that may be done again.


def test_a_move_done_again_changes_nothing(spool: Spool) -> None:
    put(spool)
    claimed = take(spool)
    assert spool.move(claimed.ulid, "active", "done", claimed.name)
    assert not spool.move(claimed.ulid, "active", "done", claimed.name)
    assert entries(spool, "done") == [f"{claimed.ulid}-a.yaml"]


def test_a_request_goes_from_place_to_place_under_one_name(spool: Spool) -> None:
    put(spool)
    claimed = take(spool)
    way = ("active", "deferred", "held", "active", "failed", "active", "done")
    for source, target in itertools.pairwise(way):
        assert spool.move(claimed.ulid, source, target, claimed.name)
        assert entries(spool, target) == [f"{claimed.ulid}-a.yaml"]
        assert spool.listed(target) == [claimed.ulid]
        assert spool.listed(source) == ([claimed.ulid] if source == target else [])


def test_a_finished_request_is_found_by_its_ulid_alone_beside_its_result(spool: Spool) -> None:
    put(spool)
    claimed = take(spool)
    spool.write_result("failed", claimed.ulid, claimed.name, "outcome: failed\n")
    spool.move(claimed.ulid, "active", "failed", claimed.name)
    assert spool.move(claimed.ulid, "failed", "active", None)
    spool.discard_result("failed", claimed.ulid, claimed.name)
    spool.discard_result("failed", claimed.ulid, claimed.name)
    assert entries(spool, "failed") == []
    assert spool.listed("active") == [claimed.ulid]


def test_a_file_goes_back_to_staging_under_its_name_or_a_free_one(spool: Spool) -> None:
    put(spool)
    claimed = take(spool)
    assert spool.return_to_staging(claimed.ulid, "active", claimed.name) == "a.yaml"
    assert spool.return_to_staging(claimed.ulid, "active", claimed.name) is None
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
    claimed = take(spool, waiting)
    assert spool.return_to_staging(claimed.ulid) == back
    assert spool.waiting(10) == [back]
    assert take(spool, back).name == claimed.name


# Companions.


def sign(spool: Spool, text: str, name: str = "a.yaml") -> None:
    put(spool, f"{name}.sig", text.encode())


def test_a_signature_is_taken_with_its_request_and_removed_without_it(spool: Spool) -> None:
    put(spool)
    sign(spool, "first")
    claimed = take(spool)
    found = spool.companions.signature(claimed, LIMIT)
    assert (found.body, found.name) == (b"first", "a.yaml.sig")
    assert entries(spool, "staging") == []
    request = f"{claimed.ulid}-a.yaml"
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
    claimed = take(spool)
    if taken:
        spool.companions.signature(claimed, LIMIT)
    assert spool.return_to_staging(claimed.ulid, "active", name) == "a.yaml"
    assert (spool.staging / "a.yaml.sig").read_text() == "first"
    assert entries(spool, "active") == []


@pytest.mark.parametrize("both", [True, False])
def test_a_signature_that_goes_back_takes_no_other_ones_place(spool: Spool, both: bool) -> None:
    put(spool)
    sign(spool, "first")
    claimed = take(spool)
    spool.companions.signature(claimed, LIMIT)
    sign(spool, "second")
    if both:
        put(spool)
    back = f"a-{claimed.ulid}.yaml"
    assert spool.return_to_staging(claimed.ulid) == back
    assert (spool.staging / f"{back}.sig").read_text() == "first"
    assert (spool.staging / "a.yaml.sig").read_text() == "second"


def test_a_signature_follows_its_request_to_the_name_that_is_free(spool: Spool) -> None:
    put(spool)
    sign(spool, "first")
    claimed = take(spool)
    spool.companions.signature(claimed, LIMIT)
    put(spool, body=b"newer")
    back = f"a-{claimed.ulid}.yaml"
    assert spool.return_to_staging(claimed.ulid) == back
    assert sorted(entries(spool, "staging")) == [f"{back}", f"{back}.sig", "a.yaml"]


@pytest.mark.parametrize("make", [_symlink, _fifo, _directory, _socket, _hard_link, _mode(0o602)])
def test_a_hostile_signature_is_refused_where_it_lies(
    spool: Spool, make: Callable[[Path], None]
) -> None:
    put(spool)
    make(spool.staging / "a.yaml.sig")
    claimed = take(spool)
    with pytest.raises(InvalidRequest):
        spool.companions.signature(claimed, LIMIT)
    assert "a.yaml.sig" in entries(spool, "staging")
    assert entries(spool, "active") == [f"{claimed.ulid}-a.yaml"]


def test_a_signature_that_is_exchanged_while_it_is_taken_is_left_to_its_request(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool)
    sign(spool, "first")
    claimed = take(spool)
    real = rename.rename_new

    def exchange(*arguments: Any) -> None:
        if arguments[1] == "a.yaml.sig":
            put(spool, ".other", b"second").rename(spool.staging / "a.yaml.sig")
        real(*arguments)

    monkeypatch.setattr("provisioner.companions.rename_new", exchange)
    with pytest.raises(InvalidRequest, match="changed while it was read"):
        spool.companions.signature(claimed, LIMIT)
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


# Making, opening, locking.


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
    claimed = take(spool)
    spool.move(claimed.ulid, "active", "done", claimed.name)
    _fifo(spool.staging / "f.yaml")
    _symlink(spool.staging / "l.yaml")
    for name in spool.waiting(10):
        spool.claim(name)
    with pytest.raises(ConfigError):
        Spool.open(spool.root / "nowhere")
    _open_up(spool.root)
    with pytest.raises(ConfigError):
        Spool.open(spool.root)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
