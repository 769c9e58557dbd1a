"""Addresses: where a person gets mail.

Promises: reads only the journal, inside the caller's transaction. The first of these that is a
plain address counts: the configuration, the person's newest request, the directory as it was last
read, NAME@DOMAIN. Leaves out: asking a directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.config.notify import MailConfig, is_address
from provisioner.contract import Fault
from provisioner.journal.journal import Connection
from provisioner.journal.outbox import rights
from provisioner.journal.records import request_rows
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument

Outputs = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one site. outputs: of a state of an object, as its handler names them."""

    settings: MailConfig
    outputs: Outputs

    def of(self, conn: Connection, person: str) -> str:
        """Return a person's address; '' if there is none."""
        if person in self.settings.addresses:
            return self.settings.addresses[person]
        if is_address(person):
            return person
        return next((text for text in self._candidates(conn, person) if is_address(text)), "")

    def _candidates(self, conn: Connection, person: str) -> Iterator[str]:
        subject = f"user:{person}"
        for record in request_rows.load(
            conn, rights.provided(conn, subject, "user.provision")
        ).values():
            try:
                user = crowds.whole(record.body, record.listed).values.get("user") or {}
            except (InvalidDocument, Fault):
                continue
            yield str(user.get("email") or "")
        for instance, state in rights.states_of(conn, subject):
            yield str(self.outputs(instance, state).get("mail") or "")
        if self.settings.domain is not None:
            yield f"{person}@{self.settings.domain}"
