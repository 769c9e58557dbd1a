"""Metrics of one service, if the site wants any.

Promises: without `metrics` in the configuration nothing is loaded, opened or started. Leaves out:
what is measured (`exporter`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from provisioner.config.schema import Config
from provisioner.monitoring.looks import Looks

if TYPE_CHECKING:
    from provisioner.monitoring.exporter import Exporter


class Metrics:
    """Starts and stops the exporter."""

    def __init__(self, config: Config, lanes: Collection[str]) -> None:
        """lanes: all that are configured."""
        self.looks = Looks()
        self._config = config
        self._lanes = frozenset(lanes)
        self.exporter: Exporter | None = None

    def start(self) -> None:
        """Serve metrics, if they are configured."""
        if self._config.metrics.wanted:
            from provisioner.monitoring.exporter import Exporter

            self.exporter = self.exporter or Exporter(self._config, self._lanes, self.looks)
            self.exporter.start()

    def stop(self) -> None:
        """Serve no metrics any more."""
        if self.exporter is not None:
            self.exporter.stop()
