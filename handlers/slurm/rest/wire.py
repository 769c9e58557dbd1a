"""One question to slurmrestd over HTTP, and its answer.

Promises: an answer has at most `MOST` bytes and comes within the time allowed; the token is read
for each question, so that a renewed one counts. A question that never reached slurmrestd is
Unavailable; a write without an answer is Unknown. Leaves out: what an answer says (`reading`).
Source: slurmrestd(8), https://slurm.schedmd.com/rest.html.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from handlers.slurm.rest.token import without_name
from provisioner.contract import ConfigError, Unavailable, Unknown, ask_leave, cut_after

MOST: Final = 128 * 1024 * 1024
"""The most bytes of an answer: an association is 3.5 KB of JSON (24.11.5)."""

_PIECE = 1024 * 1024

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What slurmrestd answered. document: None if there is no body; raw: what is no JSON, cut."""

    status: int
    document: Mapping[str, Any] | None
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """How to reach a slurmrestd.

    address: `unix:/PATH`, `http://HOST:PORT` or `https://HOST`; token: reads the token, None if
    none is sent; user: whom the token is for, if slurmrestd needs to be told; timeout: seconds.
    """

    address: str
    token: Callable[[], str] | None = None
    user: str = ""
    timeout: float = 120.0
    ca_file: Path | None = None

    def ask(self, method: str, path: str, query: Query, body: object = None) -> Answer:
        """Ask once. Raises Unavailable, or Unknown where a write may have been carried out."""
        writes = method != "GET"
        deadline = time.monotonic() + self.timeout
        connection = self._connection()
        said = f"slurmrestd ({self.address}) {method} {path}"
        try:
            with cut_after(self.timeout, lambda: connection.sock):
                connection.connect()
        except (OSError, http.client.HTTPException) as error:
            raise _away(f"slurmrestd does not answer at {self.address}: {error}") from None
        try:
            text = None if body is None else json.dumps(body).encode()
            target = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
            headers, connected = self._headers(), connection.sock
            if writes:
                ask_leave()
            with cut_after(deadline - time.monotonic(), lambda: connected):
                connection.request(method, target, text, headers)
                response = connection.getresponse()
                data = _read(response)
        except (OSError, http.client.HTTPException) as error:
            # TimeoutError has no words of its own.
            why = str(error) or f"no answer within {self.timeout:g} s"
            if writes:
                raise Unknown(f"{said}: {why}") from None
            raise _away(f"{said}: {why}") from None
        finally:
            connection.close()
        return _answer(response.status, data)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.user:
            headers["X-SLURM-USER-NAME"] = self.user
        if self.token is not None:
            try:
                headers["X-SLURM-USER-TOKEN"] = without_name(self.token())
            except ConfigError as error:
                raise Unavailable(error.message, advice=error.advice) from None
        return headers

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        if parts.scheme == "unix":
            return _Unix(parts.path, self.timeout)
        where = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_file)
            return http.client.HTTPSConnection(*where, timeout=self.timeout, context=context)
        return http.client.HTTPConnection(*where, timeout=self.timeout)


class _Unix(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _read(response: http.client.HTTPResponse) -> bytes:
    """Return a body. Raises HTTPException if it has too many bytes, or too few."""
    pieces: list[bytes] = []
    size = 0
    while piece := response.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MOST:
            raise http.client.HTTPException(f"the answer has more than {MOST // 2**20} MiB")
    if response.length:
        raise http.client.HTTPException("the answer was cut off")
    return b"".join(pieces)


def _answer(status: int, data: bytes) -> Answer:
    if not data.strip():
        return Answer(status, None)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return Answer(status, document)
    return Answer(status, None, " ".join(data[:300].decode(errors="replace").split()))


def _away(message: str) -> Unavailable:
    return Unavailable(
        message,
        advice="on its host: systemctl status slurmrestd; it continues by itself once slurmrestd "
        "answers",
    )
