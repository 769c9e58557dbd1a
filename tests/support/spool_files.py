"""Files in a spool, as the tests put and find them."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.spool.spool import Spool, Submission
from provisioner.spool.submission import LIMIT

BODY = b"provisioner: 1\naction: user.provision\n"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def put(spool: Spool, name: str = "a.yaml", body: bytes = BODY, mode: int = 0o600) -> Path:
    path = spool.staging / name
    path.write_bytes(body)
    path.chmod(mode)
    return path


def take(spool: Spool, name: str = "a.yaml") -> Submission:
    submission = spool.take(name)
    assert isinstance(submission, Submission)
    return submission


def entries(spool: Spool, place: str) -> list[str]:
    return sorted(os.listdir(spool.root / place))  # noqa: PTH208 - names may be hostile


# What no request is.


def symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def dangling(path: Path) -> None:
    path.symlink_to("/nowhere")


def hard_link(path: Path) -> None:
    (path.parent / ".other").write_bytes(BODY)
    (path.parent / ".other").chmod(0o600)
    path.hardlink_to(path.parent / ".other")


def fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def listening(path: Path) -> None:
    # The path of a socket is at most 107 bytes long.
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):
        made.bind(path.name)


def directory(path: Path) -> None:
    path.mkdir()


def of_mode(mode: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(BODY)
        path.chmod(mode)

    return make


def large(path: Path) -> None:
    path.write_bytes(b"x" * (LIMIT + 1))
    path.chmod(0o600)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    path.chmod(0o600)
