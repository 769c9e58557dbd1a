"""Options of messages: who is told what happened, by mail or by a program of the site.

Promises: nobody is told anything unless a site configures it. Leaves out: the words (templates).
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from provisioner.config.part import Days, Part


class Event(StrEnum):
    """What people are told about."""

    ACCOUNT_READY = "account_ready"
    """An account can be used, or can be used again."""
    ALLOCATION_READY = "allocation_ready"
    """A person may use an allocation, or may use it again."""
    ALLOCATION_CHANGED = "allocation_changed"
    """An allocation has another place, quota or account."""
    ACCESS_REMOVED = "access_removed"
    """A person may no longer use an account or an allocation."""
    ACCESS_ENDS = "access_ends"
    """A person's access ends soon, because a request says so."""
    REQUEST_FAILED = "request_failed"
    """A request failed or was refused."""
    QUOTA_WARNING = "quota_warning"
    """A quota is nearly full, in grace, or full."""
    IDLE_WARNING = "idle_warning"
    """A person is closed soon, because nobody saw them use anything."""
    IDLE_STOPPED = "idle_stopped"
    """Nobody is closed for being idle, because a source or the number of people is in doubt."""
    DIGEST = "digest"
    """What was done, what waits and what failed since yesterday."""


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(
    rf"(?=.{{1,64}}@)(?:{_ATOM}\.)*{_ATOM}@(?=.{{1,255}}\Z)(?:{_LABEL}\.)*{_LABEL}"
)


def is_address(text: str) -> bool:
    """Return True if a text is a plain mail address in ASCII, which every server takes.

    Source: RFC 5321, 4.1.2: atoms with single dots between them, and labels of a domain.
    """
    return _ADDRESS.fullmatch(text) is not None


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError("must be a mail address such as hpc@example.org")
    return text


def _address_or_nobody(text: str) -> str:
    return _address(text) if text else text


def _server(text: str) -> str:
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?", text):
        raise ValueError("must be HOST or HOST:PORT")
    return text


def _time(text: str) -> str:
    if text and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("must be a time such as 07:00, or empty")
    return text


Address = Annotated[str, AfterValidator(_address)]


class MailConfig(Part):
    """Mail: which server takes it, from whom it comes, and how much is sent."""

    server: Annotated[str, AfterValidator(_server)] | None = Field(
        None, description="the SMTP server, HOST or HOST:PORT", examples=["smtp.example.org:587"]
    )
    directory: Path | None = Field(
        None, description="in place of a server: every mail becomes a file in this directory"
    )
    tls: Literal["none", "starttls", "tls"] = Field(
        "none", description="encryption; a certificate that does not fit ends the attempt"
    )
    user: str | None = Field(None, description="name to log in with; default: no login")
    password: str | None = Field(None, description="name of the secret for `user`")
    sender: Address = Field(description="who it is from", examples=["hpc@example.org"])
    reply_to: Address | None = Field(None, description="where answers go; default: `sender`")
    domain: str | None = Field(
        None,
        description="a person without a known address gets mail at NAME@DOMAIN; default: none",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,253}$",
        examples=["example.org"],
    )
    addresses: dict[str, Annotated[str, AfterValidator(_address_or_nobody)]] = Field(
        default_factory=dict,
        description="addresses of people and programs that count before all others; an empty one "
        "gets no mail",
        examples=[{"coldfront": "portal-admins@example.org"}],
    )
    operators: tuple[Address, ...] = Field(
        (), description="who is told of failures, and gets the digest"
    )
    digest: Annotated[str, AfterValidator(_time)] = Field(
        "07:00", description="local time of the daily digest for `operators`; empty: none"
    )
    per_recipient: int = Field(
        10, ge=1, description="most mails an hour to one address; more become one summary"
    )
    in_all: int = Field(300, ge=1, description="most mails an hour to all; more wait")
    timeout: float = Field(
        20.0, gt=0, le=600, description="seconds for the connection and for each answer"
    )
    total: float = Field(60.0, gt=0, le=3600, description="most seconds for one mail in all")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.server is None) == (self.directory is None):
            raise ValueError("must have exactly one of: server, directory")
        if (self.user is None) != (self.password is None):
            raise ValueError("needs `user` and `password` together")
        return self

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Return the server's host and port; port 25, or 465 for `tls`, if it names none."""
        host, port = re.fullmatch(r"(.*?)(?::([0-9]+))?", self.server or "").groups()  # type: ignore[union-attr]
        return host.strip("[]"), int(port or (465 if self.tls == "tls" else 25))


class HookConfig(Part):
    """A program of the site that gets each event as JSON on its standard input."""

    program: tuple[str, ...] = Field(
        min_length=1,
        description="the program and its arguments; an exit code other than 0 means: try again",
        examples=[["/usr/local/sbin/tell-chat"]],
    )
    timeout: float = Field(30.0, gt=0, le=3600, description="most seconds for one event")


class NotifyConfig(Part):
    """Who is told what happened. Without `mail` and `hook` nobody is."""

    mail: MailConfig | None = Field(None, description="tell people by mail")
    hook: HookConfig | None = Field(None, description="tell a program of the site")
    events: tuple[Event, ...] = Field(tuple(Event), description="what is told")
    manifests: bool = Field(
        False, description="also tell of what the requests that follow from a manifest did"
    )
    before_end: Days = Field(
        (30, 7, 1),
        description="days before access ends at which people are told; empty: they are not",
    )
    give_up: float = Field(
        259200.0, gt=0, description="seconds after which a message that nobody takes is given up"
    )

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the channels that are configured: mail, hook."""
        return tuple(name for name in ("mail", "hook") if getattr(self, name) is not None)

    def below(self, base: Path) -> Self:
        """Return the settings with a relative path resolved against a directory."""
        if self.mail is None or self.mail.directory is None:
            return self
        mail = self.mail.model_copy(update={"directory": base / self.mail.directory})
        return self.model_copy(update={"mail": mail})
