"""The driver's connection of a journal, with a pipeline for the statements of the hot path.

Promises: a transaction is one, whether a statement goes by the pipeline or by the driver. Leaves
out: the pipeline itself (`pipeline`).
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.adapt import Loader

from provisioner.journal.postgresql.pipeline import Pipeline


class Driven(psycopg.Connection[Any]):
    """A connection."""

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self.adapters.register_loader("numeric", _Sum)
        self.hot = Pipeline(self)

    def lead(self) -> Pipeline:
        """Begin nothing by itself from now on. Return its pipeline."""
        self.autocommit = True
        # The driver drops all statements that are prepared, others' too, after a rollback.
        self.prepare_threshold = None
        return self.hot

    def wait(self, *words: Any, **named: Any) -> Any:
        """Do what the driver does with the server, after all that is to be written."""
        self.hot.settle()
        return super().wait(*words, **named)

    def commit(self) -> None:
        """Commit, with all that is to be written."""
        self.hot.commit()

    def rollback(self) -> None:
        """Roll back; what is to be written never is."""
        self.hot.forget()
        super().rollback()


class _Sum(Loader):
    """Reads what a sum of whole numbers is: a number that fits no whole one."""

    def load(self, data: Any) -> int | float:
        """Return the number."""
        text = bytes(data).decode("ascii")
        return int(text) if text.lstrip("-").isdigit() else float(text)
