"""HTTPS requests to the GUI nodes of a Storage Scale cluster, with failover.

Promises: a request goes to the node that answered last, then to the others. The next node is asked
if one is away (no connection, no answer in time, 500, 503), never after another 4xx. A write goes
to a second node only if the first one surely did not take it. The certificate is verified before a
password is sent. Basic authentication (IBM Storage Scale, management API v2).
Leaves out: what an answer means, apart from 401 and 403 (`client`), and jobs (`jobs`).
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provisioner.contract import (
    ConfigError,
    Json,
    Permanent,
    Unavailable,
    Unknown,
    ask_leave,
    cut_after,
)

API = "/scalemgmt/v2/"

MOST = 64 << 20
"""The most bytes of an answer that are read."""

_BUSY = {500, 503}
"""`500`: try again; `503`: busy with other requests, or down (IBM, status codes)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered. code: HTTP status; body: its JSON, empty if it was none."""

    node: str
    asked: str
    code: int
    body: Mapping[str, Any]

    @property
    def fine(self) -> bool:
        """Return True if the node took the request."""
        return 200 <= self.code < 300

    @property
    def words(self) -> str:
        """Return request, code and the node's message on one line."""
        status = self.body.get("status")
        message = status.get("message") if isinstance(status, Mapping) else None
        said = " ".join(str(message or "no message").split())
        return f"{self.asked}: {self.code} {said[:600]}"


class NotSentError(Exception):
    """A node did not get the request."""


class NoAnswerError(Exception):
    """A node may have got the request."""


class Gui:
    """The GUI nodes of one cluster.

    nodes: URLs such as `https://gui1`, the preferred one first; login: returns user and password;
    ca_file: authorities that sign the nodes' certificates, None for the system's; timeout: seconds
    for one answer.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        login: Callable[[], tuple[str, str]],
        ca_file: Path | None,
        timeout: float = 60.0,
    ) -> None:
        self.nodes = tuple(node.rstrip("/") for node in nodes)
        self._login = login
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._timeout = timeout
        self._first = 0

    def read(self, path: str) -> Answer:
        """Return an answer from the first node that gives one. Raises Unavailable."""
        problems = []
        for node in self._in_turn():
            try:
                answer = self._send(node, "GET", path, None)
            except (NotSentError, NoAnswerError) as error:
                problems.append(str(error))
                continue
            if answer.code in _BUSY:
                problems.append(answer.words)
                continue
            self._first = self.nodes.index(node)
            return _allowed(answer, writing=False)
        raise Unavailable(f"no GUI node answers: {'; '.join(problems)}", advice=_ADVICE)

    def write(self, method: str, path: str, body: Mapping[str, Json] | None) -> Answer:
        """Return the answer to a write, from the first node that takes it.

        Raises Unavailable if no node got it, Unknown if one may have got it, and Permanent if the
        user may not do it.
        """
        problems = []
        for node in self._in_turn():
            try:
                answer = self._send(node, method, path, body)
            except NotSentError as error:
                problems.append(str(error))
                continue
            except NoAnswerError as error:
                raise Unknown(str(error), advice="the service reads it again") from error
            if answer.code == http.client.SERVICE_UNAVAILABLE:
                problems.append(answer.words)
                continue
            if answer.code >= http.client.INTERNAL_SERVER_ERROR:
                raise Unknown(answer.words, advice="the service reads it again")
            self._first = self.nodes.index(node)
            return _allowed(answer, writing=True)
        raise Unavailable(f"no GUI node takes a write: {'; '.join(problems)}", advice=_ADVICE)

    def ask(self, node: str, path: str) -> Answer:
        """Return the answer of one node. Raises Unavailable if that one is away."""
        try:
            answer = self._send(node, "GET", path, None)
        except (NotSentError, NoAnswerError) as error:
            raise Unavailable(str(error), advice=_ADVICE) from error
        if answer.code in _BUSY:
            raise Unavailable(answer.words, advice=_ADVICE)
        return _allowed(answer, writing=False)

    def _in_turn(self) -> Sequence[str]:
        return (*self.nodes[self._first :], *self.nodes[: self._first])

    def _send(self, node: str, method: str, path: str, body: Mapping[str, Json] | None) -> Answer:
        url, asked = urlsplit(node), f"{method} {node}{API}{path}"
        connection = http.client.HTTPSConnection(
            url.hostname or "", url.port or 443, timeout=self._timeout, context=self._trust()
        )
        headers = {"Authorization": self._token(), "Accept": "application/json"}
        text = None if body is None else json.dumps(body)
        deadline = time.monotonic() + self._timeout
        if text is not None:
            headers["Content-Type"] = "application/json"
        try:
            try:
                with cut_after(self._timeout, lambda: connection.sock):
                    connection.connect()
            except OSError as error:
                raise NotSentError(f"{node}: not connected: {error}") from error
            if method != "GET":
                ask_leave()
            try:
                connected = connection.sock
                with cut_after(deadline - time.monotonic(), lambda: connected):
                    connection.request(method, f"{API}{path}", text, headers)
                    response = connection.getresponse()
                    content = response.read(MOST)
            except (OSError, http.client.HTTPException) as error:
                said = str(error) or type(error).__name__
                raise NoAnswerError(f"{asked}: no answer: {said}") from error
        finally:
            connection.close()
        return Answer(node, asked, response.status, _json(content))

    def _trust(self) -> ssl.SSLContext:
        """Return how certificates are verified. Raises Unavailable for a file of authorities that
        cannot be read."""
        if self._context is None:
            try:
                self._context = ssl.create_default_context(cafile=self._ca_file)
            except OSError as error:
                raise Unavailable(
                    f"{self._ca_file}: no authority in it: {error}", advice="check `ca_file`"
                ) from error
        return self._context

    def _token(self) -> str:
        try:
            user, password = self._login()
        except ConfigError as fault:
            raise Unavailable(fault.message, advice=fault.advice) from fault
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


_ADVICE = (
    "check the GUI nodes (`systemctl status gpfsgui`), the settings `gui` and `ca_file`, and the "
    "firewall; the service continues by itself once one answers"
)


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, Mapping) else {}


def _allowed(answer: Answer, *, writing: bool) -> Answer:
    """Return an answer. Raises the fault of a user who may not ask."""
    if answer.code == http.client.UNAUTHORIZED:
        raise Unavailable(
            f"{answer.asked}: 401: the GUI does not accept the user or the password",
            advice="check the secrets that `user` and `password` name, and that the GUI has not "
            "locked or expired the user (/usr/lpp/mmfs/gui/cli/lsuser); then run `provisioner "
            "doctor`",
        )
    if answer.code == http.client.FORBIDDEN:
        kind = Permanent if writing else Unavailable
        raise kind(
            f"{answer.words}: the GUI user has no role for this",
            advice="give the GUI user the roles that docs/gpfs.md lists, then retry",
        )
    return answer
