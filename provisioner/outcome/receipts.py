"""Receipts: the state of a request, in a file that its writer can read from acceptance on.

Promises: `receipts/<writer>/<id>.yaml` is always complete, and only its writer and the service can
read it: the writer's directory belongs to the service and lets one other user in (`readers`). Ids
and names are made safe for file names. Leaves out: flushing, because the journal can make every
receipt again; and the content of a receipt.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from provisioner.contract import Json
from provisioner.outcome import readers
from provisioner.request.documents import dump
from provisioner.system import ulid
from provisioner.system.entry import rename_new
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

_HEAD = 40
"""Lines of a receipt within which it says its state."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST = 160
ENDING = ".yaml"
_PLAIN = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9_.@+-]{0,159}\Z")
_AT_CWD = -100  # from fcntl.h: names are paths


def path(receipts: Path, writer: str, name: str) -> Path:
    """Return the path of the receipt of a writer's request, by its id or ULID."""
    return receipts / safe(writer) / f"{safe(name)}{ENDING}"


class Desk:
    """Writes receipts, and keeps the directory of the last writer open until another one's.

    Who writes many does so writer by writer.
    """

    def __init__(self, receipts: Path) -> None:
        """receipts: a directory that only the service can write to."""
        self._receipts = receipts
        self._writer, self._home = "", -1
        self._temporary = f".{ulid.new()}"

    def write(self, writer: str, name: str, receipt: Mapping[str, Json]) -> None:
        """Write a receipt, in place of an earlier one.

        name: the request's id or ULID. Raises OSError if it cannot be written.
        """
        body = dump(receipt).encode("utf-8", "backslashreplace")
        if self._home < 0 or writer != self._writer:
            self.close()
            self._home, self._writer = _open(self._receipts / safe(writer), writer), writer
        _replace(self._home, f"{safe(name)}{ENDING}", body, self._temporary)

    def close(self) -> None:
        """Close the directory that is open."""
        if self._home >= 0:
            os.close(self._home)
            self._home = -1


def entries(receipts: Path, before: float) -> Iterator[Path]:
    """Yield the receipts that were last written before a time, writer by writer."""
    for home in sorted(path for path in receipts.iterdir() if path.is_dir()):
        for entry in os.scandir(home):
            if entry.name.endswith(ENDING) and entry.stat(follow_symlinks=False).st_ctime < before:
                yield Path(entry.path)


def request_of(receipt: Path) -> RequestId | None:
    """Return the ULID of a receipt's request; None if the receipt does not say."""
    with receipt.open("rb") as file:
        word, _, value = file.readline(200).decode("ascii", "replace").strip().partition(": ")
    value = value.strip("'\"")
    return RequestId(value) if word == "id" and ulid.is_ulid(value) else None


def head_of(receipt: Path) -> tuple[str, str] | None:
    """Return the ULID and the state that a receipt says; None if it does not exist, or lost its
    content in a power cut."""
    said = {"id": "", "state": ""}
    try:
        with receipt.open(encoding="utf-8", errors="replace") as file:
            for line in islice(file, _HEAD):
                word, _, value = line.partition(": ")
                if word in said:
                    said[word] = value.strip().strip("'\"")
    except FileNotFoundError:
        return None
    return (said["id"], said["state"]) if said["id"] else None


def remove(receipts: Path, writer: str, name: str) -> None:
    """Remove a receipt, if it exists."""
    path(receipts, writer, name).unlink(missing_ok=True)


def safe(text: str) -> str:
    """Turn a text into a safe file name; different texts get different names.

    Characters other than letters, digits and `_-.@+~` become like `%0A`, and so does a dot or dash
    in front. A long text is cut, and gets a hash of the whole.
    """
    if _PLAIN.match(text):
        return text
    name = quote(text, safe="@+", errors="surrogatepass")
    if not name or name[0] in ".-~":
        name = f"%{ord(text[0]):02X}{name[1:]}" if text else "%"
    if len(name) > _LONGEST:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        name = f"{name[:_LONGEST]}%~{digest}"
    return name


def _open(home: Path, writer: str) -> int:
    """Open a writer's directory, which the writer and nobody else may enter."""
    try:
        directory = os.open(home, readers.DIRECTORY)
    except FileNotFoundError:
        _make(home, writer)
        directory = os.open(home, readers.DIRECTORY)
    try:
        readers.admit(directory, writer)
    except BaseException:
        os.close(directory)
        raise
    return directory


def _replace(directory: int, name: str, body: bytes, temporary: str) -> None:
    """Write a file, whole, in place of an earlier one. temporary: its name until then."""
    file = os.open(temporary, _CREATE, 0o644, dir_fd=directory)
    try:
        # Independent of the umask: the directory keeps others out.
        os.fchmod(file, 0o644)
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    finally:
        os.close(file)


def _make(directory: Path, writer: str) -> None:
    """Make a writer's directory, and let the writer in before it gets its name.

    Its files are readable by all, because nobody else can enter the directory.
    """
    fresh = directory.parent / f".{ulid.new()}"
    fresh.mkdir(mode=0o700)
    try:
        opened = os.open(fresh, readers.DIRECTORY)
        try:
            why = readers.admit(opened, writer)
        finally:
            os.close(opened)
        if why:
            log.warning("receipts of %s: %s", writer, why)
        rename_new(_AT_CWD, str(fresh), _AT_CWD, str(directory))
    except FileExistsError:
        fresh.rmdir()
    except BaseException:
        fresh.rmdir()
        raise
