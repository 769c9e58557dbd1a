"""How to reach a directory: the settings that all LDAP handlers share.

Promises: when the handlers are built, settings that would send a password in clear text, or cannot
be an address, are refused. Leaves out: connecting (`directory.client`), and what a handler does
there.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from handlers.ldap.directory.text import backend_of

M = TypeVar("M", bound=BaseModel)


class DirectorySettings(BaseModel):
    """How to reach a directory; part of the settings of every LDAP handler."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    servers: tuple[str, ...] = Field(
        min_length=1,
        description="URLs of the servers, the preferred one first; a batch uses the first that "
        "answers. `emulated:///DIR/ad.json` is the sandbox's directory",
        examples=[["ldaps://dc1.campus.test", "ldaps://dc2.campus.test"]],
    )
    tls: Literal["ldaps", "starttls", "none"] = Field(
        "ldaps", description="how the password is protected; `none` only for loopback"
    )
    ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the servers' certificates; "
        "default: the system's authorities", examples=["/etc/provisioner/campus-ca.pem"],
    )  # fmt: skip
    lenient_certificates: bool = Field(
        False, description="accept certificates without what RFC 5280 asks of them, such as an "
        "authority's key usage; Python 3.13 and later refuse these. Signature, dates and name are "
        "checked all the same",
    )  # fmt: skip
    server_name: str | None = Field(
        None, description="name in the certificate, if it is not the URL's host"
    )
    bind_dn: str = Field(
        "", description="account of the service: a DN, or in AD also name@domain",
        examples=["CN=provisioner,OU=Services,DC=campus,DC=test"],
    )  # fmt: skip
    password: str = Field("", description="name of the secret with the password of bind_dn")
    base: str = Field(
        description="DN below which the service searches", examples=["DC=campus,DC=test"]
    )
    connections: int = Field(
        4, ge=1, le=16, description="connections that write at the same time in a large batch"
    )
    timeout: int = Field(15, ge=1, le=300, description="seconds to wait for a connection or answer")
    lane: str | None = Field(
        None, description="queue of this directory; default: the base's domain"
    )

    @field_validator("servers")
    @classmethod
    def _urls(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for url in servers:
            parts = urlsplit(url)
            where = parts.path if parts.scheme == "emulated" else parts.hostname
            if parts.scheme not in {"ldap", "ldaps", "emulated"} or not where:
                raise ValueError(f"{url!r} is not ldaps://HOST, ldap://HOST or emulated:///FILE")
        return servers

    @model_validator(mode="after")
    def _protected(self) -> DirectorySettings:
        for url in self.servers:
            parts = urlsplit(url)
            if parts.scheme == "emulated":
                continue
            if self.tls == "none" and not _is_loopback(parts.hostname or ""):
                raise ValueError(
                    f"tls: none would send the password in clear text to {parts.hostname}"
                )
            if (parts.scheme == "ldaps") is not (self.tls == "ldaps"):
                raise ValueError(f"tls: {self.tls} does not go with {parts.scheme}://")
        return self

    @property
    def lane_name(self) -> str:
        """Return the name of the queue that all handlers of this directory share."""
        return self.lane or f"directory-{backend_of(self.base)}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
