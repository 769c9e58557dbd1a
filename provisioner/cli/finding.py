"""Which request a name means to the person who types it.

Promises: reads only; a name that means no request, or several, is refused. Leaves out: the order in
which names are looked up (`lookup`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from provisioner.cli import site
from provisioner.contract import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from provisioner.journal.journal import Journal
    from provisioner.journal.records.request_rows import Record
    from provisioner.system.ulid import RequestId


def looked_up(name: str) -> Record | None:
    """Return the request that a name means to the caller; None if the caller may not read it.

    Raises InvalidRequest if there is none, or more than one.
    """
    try:
        book = site.journal(site.config())
    except ConfigError:
        return None
    try:
        return find(book, name)
    finally:
        book.close()


def find(book: Journal, name: str) -> Record:
    """Return the request that a name means; if it is a file's name, its writer's newest request.

    Raises InvalidRequest if there is none, or more than one.
    """
    import os

    from provisioner.journal.queries import lookup

    me = lookup.Seeker(os.geteuid(), writer(book), others=True)
    with book.reading() as conn:
        record = lookup.typed(conn, name, me)
    if record is None:
        raise InvalidRequest(
            f"there is no request {name!r}",
            advice="`provisioner queue --ended 20` lists the newest; a file that the service has "
            "not taken yet is in staging",
        )
    return record


def writer(book: Journal) -> str:
    """Return the writer that the caller is in a journal."""
    import os

    from provisioner.policy.writers import Writers
    from provisioner.system.users import user_name
    from provisioner.wiring import policy_of

    me = os.geteuid()
    return Writers(book, policy_of(site.config())).of(me, user_name(me))


def short(ids: Collection[RequestId]) -> Mapping[RequestId, str]:
    """Return the short ids of some requests; none if there are none to look up."""
    from provisioner.journal.queries import lookup

    if not ids:
        return {}
    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            return lookup.short(conn, ids)
    finally:
        book.close()


def subject(text: str) -> str:
    """Return the subject that a person means: `user:jdoe`, or by the ledger its name alone.

    Raises InvalidRequest if there is none, or more than one.
    """
    from provisioner.cards import lists
    from provisioner.journal.queries import subjects

    if ":" in text or not text:
        return text
    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            also = [f"project:{text}"] if text in lists.codes(conn) else []
            return subjects.meant(conn, text, also)
    finally:
        book.close()


def check_known(subject: str) -> None:
    """Raise InvalidRequest, with the nearest name, if there is nothing to close or to open.

    A caller who may not read the journal leaves that to the service.
    """
    from provisioner.journal.queries import subjects

    try:
        book = site.journal(site.config())
    except ConfigError:
        return
    try:
        with book.reading() as conn:
            known = subjects.is_known(conn, subject)
            near = "" if known else subjects.nearest(conn, subject.rpartition("/")[2], None)
    finally:
        book.close()
    if not known:
        raise InvalidRequest(
            f"nothing is claimed for {subject}",
            expected="a name that `provisioner list` prints; a request in a file can also close "
            "what does not exist yet: provisioner new user.suspend",
            nearest=near,
        )
