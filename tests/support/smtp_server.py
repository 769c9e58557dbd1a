"""A real SMTP server on loopback (aiosmtpd), which can refuse, hang and dribble.

Promises: what it took is read back as mails, in the order in which they came.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Mailbox:
    """What the server took. refuses: recipient -> the answer to it; slow: recipient -> seconds."""

    mails: list[EmailMessage] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    answer: str = "250 taken"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[Any]
    ) -> str:
        """Take a recipient, or refuse it."""
        if address in self.slow:
            await asyncio.sleep(self.slow[address])
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail, whatever is answered."""
        assert isinstance(envelope.content, bytes)
        made = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(made, EmailMessage)
        made["X-Envelope-To"] = ", ".join(envelope.rcpt_tos)
        self.mails.append(made)
        return self.answer

    def to(self, address: str) -> list[EmailMessage]:
        """Return the mails to an address."""
        return [mail for mail in self.mails if mail["X-Envelope-To"] == address]

    def subjects(self, address: str) -> list[str]:
        """Return the subjects of the mails to an address."""
        return [str(mail["Subject"]) for mail in self.to(address)]


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(port: int) -> Iterator[Mailbox]:
    """Run a server during the block."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@contextmanager
def hanging(*, dribbles: bool = False) -> Iterator[int]:
    """Listen during the block and never greet, or only ever begin to; give the port."""
    over = threading.Event()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.settimeout(0.05)
    held: list[socket.socket] = []

    def serve() -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                held.append(listener.accept()[0])
            for one in held if dribbles else ():
                with suppress(OSError):
                    one.sendall(b"220-wait\r\n")
            time.sleep(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        over.set()
        thread.join()
        for one in (*held, listener):
            one.close()


def text_of(mail: EmailMessage) -> str:
    """Return the plain text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def html_of(mail: EmailMessage) -> str:
    """Return the HTML of a mail."""
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())
