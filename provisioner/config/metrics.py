"""Options of metrics: where Prometheus reads them.

Promises: they are off unless configured, and are served to this host alone. Leaves out: what is
measured (docs/monitoring.md).
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field

from provisioner.config.part import Part


def _loopback(text: str) -> str:
    host, port = split(text)
    try:
        ours = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        ours = False
    if not ours or not 0 < port < 65536:
        raise ValueError("must be PORT of this host alone, such as 127.0.0.1:9811")
    return text


def split(listen: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`; port 0 if there is none."""
    found = re.fullmatch(r"\[?([^\]]*?)\]?:([0-9]{1,5})", listen)
    return (found[1], int(found[2])) if found else (listen, 0)


class MetricsConfig(Part):
    """Where metrics are read. Without `listen` and `textfile` there are none."""

    listen: Annotated[str, AfterValidator(_loopback)] | None = Field(
        None,
        description="HOST:PORT on loopback where Prometheus reads them, at /metrics",
        examples=["127.0.0.1:9811"],
    )
    textfile: Path | None = Field(
        None,
        description="file that the service writes for node_exporter's textfile collector",
        examples=["/var/lib/prometheus/node-exporter/provisioner.prom"],
    )
    every: float = Field(30.0, ge=1, description="seconds between two writes of the file")

    @property
    def wanted(self) -> bool:
        """Return True if metrics are read anywhere."""
        return self.listen is not None or self.textfile is not None

    def below(self, base: Path) -> Self:
        """Return the settings with a relative path resolved against a directory."""
        path = None if self.textfile is None else base / self.textfile
        return self.model_copy(update={"textfile": path})
