"""The port at which metrics are read: a few readers at a time, each for a few seconds.

Promises: whoever connects costs a thread for `SECONDS` at most, and gets no further one while it
has `EACH`; of all addresses together there are at most `ALL`. Others are closed at once. So whoever
keeps connections open takes no threads from the service, and the port from nobody at another
address. Leaves out: what is read (`exporter`).
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import Counter
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from provisioner.contract import cut_after

log = logging.getLogger(__name__)

SECONDS = 10.0
"""The longest that one reader takes."""

EACH = 4
"""Readers of one address at a time."""

ALL = 16
"""Readers at a time."""


class _Silent(WSGIRequestHandler):
    """Reads one request, and logs nothing of it."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


class Port(ThreadingMixIn, WSGIServer):
    """Serves an application (WSGI) on a thread of its own, until it is closed."""

    daemon_threads = True

    def __init__(self, host: str, port: int, app: Any) -> None:
        """Listen. Raises OSError."""
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self._readers: dict[Any, str] = {}
        self._lock = threading.Lock()
        super().__init__((host, port), _Silent)
        self.set_app(app)
        threading.Thread(target=self.serve_forever, name="metrics port", daemon=True).start()

    def close(self) -> None:
        """Serve nobody any more."""
        self.shutdown()
        self.server_close()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return False for one reader too many, who is then closed."""
        address = str(client_address[0])
        with self._lock:
            of_each = Counter(self._readers.values())
            if len(self._readers) >= ALL or of_each[address] >= EACH:
                return False
            self._readers[request] = address
            return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one reader, in time."""
        with cut_after(SECONDS, lambda: request):
            super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a reader's connection."""
        with self._lock:
            self._readers.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note that a reader was not answered: it has gone, or was cut."""
        log.debug("metrics: no answer for %s", client_address, exc_info=True)
