"""A host without a spool: its verbs hand requests on, by the journal, to the one that takes them.

Promises: a request that cannot be handed on is refused before anything is written. Leaves out: how
it comes into staging there (`hosts.handing`).
"""

from __future__ import annotations

from contextlib import suppress

from provisioner.cli import site
from provisioner.contract import ConfigError


def begun(door: site.Door) -> str:
    """Return what the id of a request that is sent from now on comes after."""
    from provisioner.system import ulid

    if not door.apart:
        return ulid.new()[:10]  # to the millisecond
    from provisioner.journal.records import request_rows

    book = site.journal(site.config())
    try:
        with book.reading() as conn:  # ids are of the intake's clock, not of this host's
            return request_rows.last_id(conn)
    finally:
        book.close()


def hand_on(door: site.Door, name: str, body: bytes, key: str) -> str:
    """Hand a request on; return its file's name. Raises ConfigError if nobody would take it."""
    from provisioner.cli import hosts
    from provisioner.hosts.handing.handing import hand_on as hand
    from provisioner.request.documents import InvalidDocument
    from provisioner.request.request import parse_request

    what = "a signature" if door.signature_required or (door.signed and key) else ""
    with suppress(InvalidDocument):
        what = "a list of users beside it" if parse_request(body).users_file is not None else what
    if what:
        raise ConfigError(
            f"{door.staging} is not on this host, and a request with {what} is not handed on",
            advice="send it on the host of the intake",
        )
    settings = site.config()
    book = site.journal(settings)
    try:
        if not any(each.takes for each in hosts.read(book, settings).hosts):
            raise ConfigError(
                f"{door.staging} is not on this host, and no host takes requests for {book.place}",
                advice="start the intake, or send it on the host that has the spool",
            )
        return hand(book, name, body)
    finally:
        book.close()
