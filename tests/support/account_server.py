"""A backend on a network: accounts that hosts look at and write to, and a note of each write.

usage: python -m tests.support.account_server ADDRESS PORT NOTES LOOK WRITE

Promises: it keeps what was written, and adds a line to the file NOTES for each object: who wrote
it, what, whether it was so before, and which others were writing to the same instance meanwhile. A
call takes LOOK or WRITE seconds for each object, during which the server does nothing. Leaves out:
locks, as a real backend has none that keep the service's hosts apart; refusing anything.
"""

from __future__ import annotations

import json
import signal
import socketserver
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any


class Accounts:
    """What the server has."""

    def __init__(self, notes: Path, look: float, write: float) -> None:
        self._notes = notes.open("a", buffering=1)
        self._look, self._write = look, write
        self._rows: dict[str, dict[str, Any]] = {}
        self._writing: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer a call."""
        if "look" in asked:
            time.sleep(self._look * len(asked["look"]))
            with self._lock:
                return {key: self._rows.get(key, {"present": False}) for key in asked["look"]}
        writer = asked["writer"]
        with self._lock:
            writing = self._writing.setdefault(asked["instance"], Counter())
            writing[writer] += 1
        for key, verb, limit in asked["write"]:
            time.sleep(self._write)
            with self._lock:
                others = sorted(each for each, calls in writing.items() if calls and each != writer)
                note = {name: asked[name] for name in ("host", "writer", "instance")}
                again = verb == "add" and key in self._rows
                note |= {"key": key, "verb": verb, "again": again, "beside": others}
                self._notes.write(json.dumps(note) + "\n")
                self._change(key, verb, limit)
        with self._lock:
            writing[writer] -= 1
        return {}

    def _change(self, key: str, verb: str, limit: str | None) -> None:
        if verb == "remove":
            self._rows.pop(key, None)
        else:
            self._rows[key] = {"present": True, "limit": limit}


class Call(socketserver.StreamRequestHandler):
    """One call: a line of JSON each way."""

    server: Server

    def handle(self) -> None:
        """Answer."""
        # Who asked may have given up by now, or may not be there any more.
        with suppress(OSError):
            if asked := self.rfile.readline():
                answer = self.server.accounts.answer(json.loads(asked))
                self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    """The server."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], accounts: Accounts) -> None:
        super().__init__(address, Call)
        self.accounts = accounts


if __name__ == "__main__":
    host, port, notes, look, write = sys.argv[1:]
    with Server((host, int(port)), Accounts(Path(notes), float(look), float(write))) as server:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the first process of a machine
        print("serves", file=sys.stderr, flush=True)
        server.serve_forever()
