"""Logs for programs: lines of JSON, or fields of systemd's journal.

Promises: a line has the fields request, subject, step and lane where it is about one, whoever wrote
it; untrusted text stays one value of one field. If journald does not take a line, standard error
gets it. Leaves out: the words of the log.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import struct
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

JOURNAL = Path("/run/systemd/journal/socket")
"""Where journald takes entries (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

FIELDS = ("request", "subject", "step", "lane")
"""What a line can be about. A call of the logger may give each as `extra`."""

_IN_TEXT = {
    "request": re.compile(r"\b([0-7][0-9A-HJKMNP-TV-Z]{25})\b"),
    "subject": re.compile(
        r"(?<![\w/:])((?:user|project|allocation):[A-Za-z0-9_.@/:+-]*[A-Za-z0-9_])"
    ),
    "step": re.compile(r"\bstep ([a-z][a-z0-9_]{0,31})\b"),
}
_LANE = "lane "
_LONGEST = 64 * 1024
"""The most bytes of a message for journald: a datagram of more may not go."""

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
"""Levels of syslog(3)."""


def fields(record: logging.LogRecord, message: str) -> dict[str, str]:
    """Return what a line is about: what its call gave, else what its text and thread say."""
    found = {}
    for name, pattern in _IN_TEXT.items():
        match = pattern.search(message)
        if match is not None:
            found[name] = match[1]
    if (record.threadName or "").startswith(_LANE):
        found["lane"] = str(record.threadName).removeprefix(_LANE)
    given = {name: str(record.__dict__[name]) for name in FIELDS if record.__dict__.get(name)}
    return {**found, **given}


class JsonLines(logging.Formatter):
    """Formats a line as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message = record.getMessage()
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, str] = {
            "time": f"{at[:-6]}Z",
            "level": record.levelname.lower(),
            "message": message,
            "logger": record.name,
            **fields(record, message),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class ToJournald(logging.Handler):
    """Sends each line to journald with its fields, as PROVISIONER_REQUEST and so on."""

    def __init__(self, place: Path = JOURNAL) -> None:
        """Raises OSError if journald is not there."""
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.connect(str(place))
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        try:
            self._socket.send(entry(record, self.format(record)))
        except OSError:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def entry(record: logging.LogRecord, text: str) -> bytes:
    """Return a line as journald takes it. text: with its traceback, if there is one."""
    about = fields(record, record.getMessage())
    named = {f"PROVISIONER_{name.upper()}": value for name, value in about.items()}
    priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
    return _encoded(
        {
            "MESSAGE": text,
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": "provisioner",
            "LOGGER": record.name,
            **named,
        }
    )


def _encoded(values: Mapping[str, str]) -> bytes:
    """Encode fields. A value with its length cannot begin a field of its own."""
    parts = []
    for name, value in values.items():
        data = value.encode("utf-8", "backslashreplace")[:_LONGEST]
        parts.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
    return b"".join(parts)
