"""Emulated slurmrestd: HTTP over a unix socket, on the same emulated slurmdbd as the programs.

Promises: what slurmrestd of 24.11.5 and 26.05.5 answers, and hides, as measured: 200 where nothing
was written, 304 without a word where nothing is new; resources that a change leaves out are taken
off, and the QOS that count are written down where a change names none; an empty partition is any; a
user's default association stays, and so does the record of a user without associations. Invents:
`token`, which a real one has slurmdbd check, and latencies. Leaves out: limits that are inherited,
except QOS; every path that the handler does not ask.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from handlers.emulators.slurm import rest_rows
from handlers.emulators.slurm.sacctmgr import above
from handlers.emulators.slurm.slurmdbd import Slurmdbd, association, opened

PARSERS = ("v0.0.40", "v0.0.41", "v0.0.42")
"""Those of 24.11."""

Reply = tuple[int, Any]
Row = dict[str, Any]

_NOTHING: Reply = (304, None)


class _Wrong(Exception):
    """An error, with slurmrestd's number."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.number = number


@dataclass(frozen=True)
class Settings:
    """How an emulated slurmrestd behaves. state: the file of the slurmdbd; token: '' takes all."""

    state: Path
    parsers: Sequence[str] = PARSERS
    token: str = ""
    release: str = "24.11.5"


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    settings: Settings


@contextmanager
def serving(socket: Path, settings: Settings) -> Iterator[str]:
    """Serve on a socket, and yield its address."""
    with _Server(str(socket), _Handler) as server:
        server.settings = settings
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"unix:{socket}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def _answer(self, method: str) -> None:
        settings = self.server.settings
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        top, parser, *what = _steps(parts.path)
        token = self.headers.get("X-SLURM-USER-TOKEN")
        if settings.token and token is None:
            self._send(401, "Authentication failure")
        elif settings.token and token != settings.token:
            # As of one that ran out: slurmdbd refuses it (24.11.5).
            words = "Failed to open slurmdbd connection, authentication error"
            error = {"error_number": 7000, "error": "Unable to connect to database"}
            self._send(502, {"errors": [{**error, "description": words}]})
        elif top != "slurmdb" or parser not in settings.parsers:
            self._send(404, "Unable find requested URL. Please view /openapi/v3 for API reference.")
        else:
            try:
                status, document = _carried_out(settings, method, what, query, body)
            except rest_rows.Unknown as wrong:
                error = {"error_number": 2066, "error": str(wrong), "description": ""}
                status, document = 500, {"errors": [error]}
            except _Wrong as wrong:
                error = {"error_number": wrong.number, "error": str(wrong), "description": ""}
                status, document = 500, {"errors": [error]}
            self._send(status, document and {**document, "meta": _meta(settings)})

    def _send(self, status: int, document: Any) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        data = b"" if document is None else text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _steps(path: str) -> list[str]:
    steps = path.strip("/").split("/")
    return [*steps, *[""] * (3 - len(steps))]


def _meta(settings: Settings) -> Mapping[str, Any]:
    return {"slurm": {"release": settings.release}}


def _carried_out(
    settings: Settings, method: str, what: Sequence[str], query: Mapping[str, str], body: bytes
) -> Reply:
    with opened(str(settings.state), write=method != "GET") as data:
        if method == "GET":
            return 200, {**_read(data, what, query), "errors": [], "warnings": []}
        if method == "DELETE":
            return _deleted(data, query)
        asked = json.loads(body)
        return _WRITES[what[0]](data, asked)


# Reading.


def _read(data: Slurmdbd, what: Sequence[str], query: Mapping[str, str]) -> dict[str, Any]:
    name = what[0]
    if name == "ping":
        return {"pings": [{"hostname": "localhost", "responding": True, "latency": 1}]}
    if name == "associations":
        own = query.get("Exclude limits from parents") == "true"
        raw = query.get("Include the raw QOS or delta_qos") == "true"
        rows = _matching(data, query)
        shown = [rest_rows.shown(row, [] if own else above(data, row), raw) for row in rows]
        return {"associations": shown}
    if name == "accounts":
        return {"accounts": [{"name": one, **texts} for one, texts in data.accounts.items()]}
    if name == "user":
        return {"users": [_user(one, data.users[one]) for one in what[1:2] if one in data.users]}
    if name == "users":
        return {"users": [_user(one, known) for one, known in data.users.items()]}
    if name == "qos":
        return {"qos": [{"name": one} for one in data.qos]}
    if name == "tres":
        return {"TRES": [rest_rows.tres(one, 0) for one in data.tres]}
    return {"clusters": [{"name": one} for one in data.clusters]}


def _user(name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    of = [{"name": one, "direct": True} for one in str(known.get("coord", "")).split(",") if one]
    level = [str(known.get("admin", "None"))]
    return {"name": name, "administrator_level": level, "coordinators": of}


def _matching(data: Slurmdbd, query: Mapping[str, str]) -> list[Row]:
    names = ("cluster", "account", "user", "partition")
    return data.matching(**{n: [v for v in query.get(n, "").split(",") if v] for n in names})


# Writing.


def _deleted(data: Slurmdbd, query: Mapping[str, str]) -> Reply:
    rows = [row for row in _matching(data, query) if row["user"]]
    if not rows:
        return _NOTHING
    for row in rows:
        others = data.matching(cluster=[row["cluster"]], user=[row["user"]])
        if row["default"] and any(one not in rows for one in others):
            raise _Wrong(7009, "You can not remove the default account of a user")
        if any(row["account"] == j["account"] and row["user"] == j["user"] for j in data.jobs):
            raise _Wrong(7006, "Job(s) active, cancel job(s) before remove")
    records = {row["user"]: data.users[row["user"]] for row in rows if row["user"] in data.users}
    data.remove(rows)
    data.users = {**records, **data.users}
    return 200, {"removed_associations": [f"A = {row['account']}" for row in rows]}


def _add_accounts(data: Slurmdbd, asked: Mapping[str, Any]) -> Reply:
    condition, texts = asked["association_condition"], asked["account"]
    limits = dict(condition.get("association", {}))
    parent = str(limits.pop("parent", "root"))
    new = [
        (cluster, name)
        for cluster in condition["clusters"]
        for name in condition["accounts"]
        if cluster in data.clusters and data.find(cluster, name) is None
    ]
    for cluster, name in new:
        if data.find(cluster, parent) is None:
            raise _Wrong(2046, "Invalid parent account specified")
        known = {"description": name, "organization": parent, **texts}
        data.accounts.setdefault(name, known)
        _put(data, association(cluster, name, parent=parent), limits)
    return (200, {"added_accounts": f"{len(new)}"}) if new else _NOTHING


def _add_users(data: Slurmdbd, asked: Mapping[str, Any]) -> Reply:
    condition = asked["association_condition"]
    places = [
        (cluster, account, user, partition)
        for cluster in condition["clusters"]
        for account in condition["accounts"]
        for user in condition["users"]
        for partition in condition.get("partitions") or [""]
        if data.find(cluster, account) is not None
        if data.find(cluster, account, user, partition) is None
    ]
    for cluster, account, user, partition in places:
        default = data.users.setdefault(user, {"default": {}})["default"]
        default.setdefault(cluster, account)
        first = default[cluster] == account
        row = association(cluster, account, user, partition, default=first)
        _put(data, row, condition.get("association", {}))
    if not places:
        return _NOTHING
    data.failed_rows = []
    return 200, {"added_users": f"{len(places)}"}


def _put(data: Slurmdbd, row: Row, limits: Mapping[str, Any]) -> None:
    rest_rows.set_added(row, limits, data.qos)
    data.add(row)


def _set_accounts(data: Slurmdbd, asked: Mapping[str, Any]) -> Reply:
    for row in asked["accounts"]:
        if row["name"] in data.accounts:
            names = ("description", "organization")
            data.accounts[row["name"]] = {name: row.get(name, "") for name in names}
    return 200, {}


def _set_associations(data: Slurmdbd, asked: Mapping[str, Any]) -> Reply:
    written = False
    for body in asked["associations"]:
        if "user" not in body:
            raise _Wrong(9200, "Missing required field 'user' in dictionary")
        cluster, account = body.get("cluster", ""), body.get("account", "")
        row = data.find(cluster, account, body["user"], body.get("partition", ""))
        if row is not None:
            before = json.dumps(row, sort_keys=True)
            _change(data, row, body)
            written = written or json.dumps(row, sort_keys=True) != before
        else:
            written = True
            if data.find(cluster, account) is not None:
                data.add(association(cluster, account, body["user"], body.get("partition", "")))
    return (200, {}) if written else _NOTHING


def _change(data: Slurmdbd, row: Row, body: Mapping[str, Any]) -> None:
    before, over = row["limits"], above(data, row)
    row["limits"] = rest_rows.changed(before, over, body, data.qos)
    if not rest_rows.may_use_default(row["limits"], over):
        row["limits"] = before
        raise _Wrong(7011, "This request would make it so some associations would not have access "
                           "to their default qos.")  # fmt: skip
    if body.get("parent_account"):
        row["parent"] = body["parent_account"]
    if body.get("is_default") is True:
        data.set_default(row["cluster"], row["user"], row["account"])


_WRITES: Mapping[str, Callable[[Slurmdbd, Mapping[str, Any]], Reply]] = {
    "accounts_association": _add_accounts,
    "users_association": _add_users,
    "accounts": _set_accounts,
    "associations": _set_associations,
}
