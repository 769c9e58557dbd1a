"""The log as JSON, and as fields of systemd's journal."""

from __future__ import annotations

import json
import logging
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.monitoring.logs import JsonLines, ToJournald, entry, fields

ID = "01J9Z3NDEKTSV4RRFFQ69G5FAV"


def record(message: str, *values: object, **given: object) -> logging.LogRecord:
    made = logging.LogRecord("provisioner.x", logging.WARNING, "", 1, message, values, None)
    made.__dict__.update(given)
    return made


TABLE = [
    (f"{ID} user.provision user:jdoe of root: done", {"request": ID, "subject": "user:jdoe"}),
    ("allocation:7/user:ann: left", {"subject": "allocation:7/user:ann"}),
    ("x failed: step home: no room", {"step": "home"}),
    ("provisioner serves hpc1: spool /var/spool", {}),
    ("see file:user:x and ids such as 01J9", {}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "found"), TABLE)
def test_a_line_says_what_it_is_about(message: str, found: dict[str, str]) -> None:
    assert fields(record(message), message) == found


def test_a_line_of_a_lanes_thread_is_about_the_lane() -> None:
    seen: list[dict[str, str]] = []
    thread = threading.Thread(target=lambda: seen.append(fields(record("x"), "x")), name="lane s")
    thread.start()
    thread.join()
    assert seen == [{"lane": "s"}]


def test_what_a_call_gives_counts_before_what_its_text_says() -> None:
    made = record("about user:eve", subject="user:jdoe", request=ID)
    assert fields(made, made.getMessage()) == {"subject": "user:jdoe", "request": ID}


def test_a_line_of_json_is_one_line_whatever_it_tells() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        made = record("%s", 'x\n"}, {\x1b[31m')
        made.exc_info = sys.exc_info()
    text = JsonLines().format(made)
    assert "\n" not in text
    assert text.isprintable()
    line = json.loads(text)
    assert (line["level"], line["message"]) == ("warning", 'x\n"}, {\x1b[31m')
    assert "ValueError" in line["traceback"]


def decoded(data: bytes) -> Iterator[tuple[str, str]]:
    """Read an entry as journald does."""
    while data:
        name, _, rest = data.partition(b"\n")
        (length,) = struct.unpack("<Q", rest[:8])
        yield name.decode(), rest[8 : 8 + length].decode()
        assert rest[8 + length : 9 + length] == b"\n"
        data = rest[9 + length :]


def test_text_cannot_make_a_field_of_journald() -> None:
    made = record("%s", f"{ID} x\nPRIORITY=0\n_UID=0")
    read = list(decoded(entry(made, made.getMessage())))
    assert len(dict(read)) == len(read)
    assert dict(read)["PRIORITY"] == "4"
    assert dict(read)["PROVISIONER_REQUEST"] == ID
    assert dict(read)["MESSAGE"].endswith("_UID=0")


def test_journald_gets_each_line_and_standard_error_what_it_does_not_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(str(place))
        handler = ToJournald(place)
        handler.emit(record("hello user:jdoe"))
        assert dict(decoded(journald.recv(1 << 20)))["PROVISIONER_SUBJECT"] == "user:jdoe"
    handler.emit(record("and again"))
    handler.close()
    assert capsys.readouterr().err == "and again\n"


def test_without_journald_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ToJournald(tmp_path / "socket")
