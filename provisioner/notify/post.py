"""Post: a mail goes to the SMTP server, or into a directory.

Promises: a server that hangs, dribbles or refuses ends an attempt after a bounded time, with an
error that says whether the server or this one mail is at fault, and whether it is for good. Leaves
out: when to try again (`courier`).
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage

from provisioner.config.notify import MailConfig
from provisioner.contract import cut_after


class Away(Exception):
    """The server takes no mail at all for now."""


class Rejected(Exception):
    """The server does not take this mail. for_good: trying again would not help."""

    def __init__(self, text: str, *, for_good: bool) -> None:
        super().__init__(text)
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class Post:
    """The way of one site's mail. password: '' for no login."""

    settings: MailConfig
    password: str = ""

    @property
    def place(self) -> str:
        """Return where mail goes, for messages."""
        return self.settings.server or str(self.settings.directory)

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """Open a connection for some mails. Raises Away."""
        if self.settings.directory is not None:
            yield Session(self.settings, None)
            return
        server = self._client()
        try:
            with self._away(), cut_after(self.settings.total, lambda: server.sock):
                self._greet(server)
            yield Session(self.settings, server)
            with (
                cut_after(self.settings.timeout, lambda: server.sock),
                contextlib.suppress(Exception),
            ):
                server.quit()
        finally:
            server.close()

    def check(self) -> None:
        """Try the way without sending anything. Raises Away."""
        with self.session():
            directory = self.settings.directory
            if directory is not None and not directory.is_dir():
                raise Away(f"{directory} is not a directory")

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        try:
            yield
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise Away(f"{self.place}: {_words(error)}") from error

    def _client(self) -> smtplib.SMTP:
        # The name is this host's own: asking DNS for it could take long.
        name, timeout = socket.gethostname(), self.settings.timeout
        if self.settings.tls == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(local_hostname=name, timeout=timeout, context=context)
        return smtplib.SMTP(local_hostname=name, timeout=timeout)

    def _greet(self, server: smtplib.SMTP) -> None:
        host, port = self.settings.host_and_port
        # smtplib checks the certificate against the name given to the class, which would connect
        # before anything bounds it.
        server._host = host  # type: ignore[attr-defined]
        code, greeting = server.connect(host, port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, greeting)
        if self.settings.tls == "starttls":
            server.starttls(context=ssl.create_default_context())
        server.ehlo_or_helo_if_needed()
        if self.settings.user is not None:
            server.login(self.settings.user, self.password)


@dataclass(frozen=True, slots=True)
class Session:
    """An open connection, or a directory."""

    settings: MailConfig
    server: smtplib.SMTP | None

    def send(self, mail: EmailMessage, to: str) -> None:
        """Give a mail to the server. Raises Away or Rejected."""
        if self.server is None:
            self._write(mail)
            return
        try:
            server = self.server
            with cut_after(self.settings.total, lambda: server.sock):
                self.server.send_message(mail, self.settings.sender, [to])
        except smtplib.SMTPRecipientsRefused as error:
            code, text = error.recipients[to]
            raise _rejected(code, text) from error
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            if error.smtp_code == 421:
                raise Away(f"{self.settings.server}: {_words(error)}") from error
            raise _rejected(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise Away(f"{self.settings.server}: {_words(error)}") from error

    def _write(self, mail: EmailMessage) -> None:
        directory = self.settings.directory
        assert directory is not None
        name = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            path, made = directory / f"{name}.eml", directory / f".{name}.partial"
            made.write_bytes(mail.as_bytes())
            made.chmod(0o600)
            made.replace(path)
        except OSError as error:
            raise Away(f"{directory}: {error.strerror}") from error


def _rejected(code: int, text: bytes | str) -> Rejected:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return Rejected(f"{code} {as_line(said)}", for_good=500 <= code < 600)


def _words(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"{error.smtp_code} {as_line(text)}"
    if isinstance(error, TimeoutError):
        return str(error) if str(error).startswith("not done") else "did not answer in time"
    if "timed out" in str(error):  # smtplib tells it as a closed connection
        return "did not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return as_line(str(error)) or type(error).__name__


def as_line(text: str) -> str:
    """Return what a server or a program said as one short line without control characters."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:300]
