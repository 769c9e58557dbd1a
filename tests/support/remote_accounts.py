"""Remote accounts: a handler whose backend is an `account_server` on another host.

Promises: a call that gets no answer in time is over for the network, too: nothing of it arrives
later. So a time limit below a lease keeps a host that was cut off from writing after another one
began; of a real backend that is not said. `installed` gives the program the handler as a package
does. Leaves out: the accounts themselves (`engine_site`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from provisioner.contract import (
    Change,
    Fault,
    Key,
    Site,
    State,
    Unavailable,
    Unknown,
    read_settings,
)
from tests.support.engine_site import Accounts, Backend

KIND = "accounts"


class Settings(BaseModel):
    """Where the backend is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(description="the backend's address")
    port: int = Field(description="its port")
    timeout: float = Field(1.0, gt=0, description="seconds for one call")


class Remote(Accounts):
    """A handler. Each process that has one is another writer."""

    def __init__(self, site: Site, settings: Settings) -> None:
        super().__init__(site.instance, Backend())
        self._site, self._settings = site, settings
        host = os.uname().nodename
        self._name = {"instance": site.instance, "host": host, "writer": secrets.token_hex(4)}

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        try:
            states: Mapping[Key, State | Fault] = self._call({"look": sorted(keys)})
        except OSError as error:
            raise Unavailable(f"{self._site.instance}: {error}") from None
        return states

    def apply(self, changes: Sequence[Change]) -> None:
        asked = [[change.key, change.verb, change.data.get("limit")] for change in changes]
        try:
            self._call({"write": asked, **self._name})
        except OSError as error:
            raise Unknown(f"{self._site.instance}: {error}") from None

    def inventory(self) -> Iterable[tuple[Key, State]]:
        return ()

    def _call(self, asked: Mapping[str, Any]) -> Any:
        """Ask. Raises OSError."""
        settings = self._settings
        address = (settings.host, settings.port)
        with socket.create_connection(address, settings.timeout) as made:
            made.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(settings.timeout * 1000)
            )
            # Whatever is not sent when it is closed is dropped.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            made.sendall(json.dumps(asked).encode() + b"\n")
            with made.makefile("rb") as answers:
                line = answers.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the backend ended the connection")
        return json.loads(line)


def build(site: Site, settings: Mapping[str, object]) -> Remote:
    """Return a handler."""
    return Remote(site, read_settings(Settings, settings))


def installed(directory: Path) -> dict[str, str]:
    """Install it into a directory; return the environment of programs that are to find it."""
    package = directory / "remote_accounts-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: remote-accounts\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        f"[provisioner.handlers]\n{KIND} = {__name__}:build\n"
    )
    return {"PYTHONPATH": f"{directory}:{Path(__file__).parents[2]}"}
