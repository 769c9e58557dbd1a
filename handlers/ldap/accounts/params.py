"""What a step says about an account, checked before any call to a directory. Pure.

Promises: one set of parameters for all directories; this module refuses what no backend should see.
Leaves out: rules that depend on the settings (`claims`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from handlers.ldap.directory.sid import sid_bytes
from provisioner.contract import Adapted, Fits, InvalidRequest, KnownAfter

_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.@+-]+)+\Z")

PathText = Annotated[str, Field(max_length=255)]


class AccountParams(BaseModel):
    """What a step says about an account."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str = Field(description="login name", examples=["jdoe"])
    # rangeUpper of displayName, givenName and sn (MS-ADA1 to 3).
    full_name: Annotated[str | None, Fits(256)] = Field(None, description="as shown to people")
    given_name: Annotated[str | None, Fits(64)] = Field(None, description="first name")
    surname: Annotated[str | None, Fits(64)] = Field(None, description="family name")
    mail: str | KnownAfter | None = Field(
        None, validation_alias=AliasChoices("mail", "email"), description="mail address",
        examples=["j.doe@campus.test"],
    )  # fmt: skip
    uid: int | KnownAfter | None = Field(
        None, description="user number; default: one from the handler's `ids`"
    )
    gid: int | KnownAfter | None = Field(
        None, description="number of the primary group; default: the handler's `gid`"
    )
    home: PathText | KnownAfter | None = Field(
        None, description="home directory; default: the handler's `home`",
        examples=["/home/jdoe"],
    )  # fmt: skip
    shell: PathText | KnownAfter | None = Field(
        None, description="login shell; default: the handler's `shell`",
        examples=["/bin/bash"],
    )  # fmt: skip
    attributes: Mapping[str, Annotated[str, Fits(1024)]] = Field(
        default_factory=dict,
        description="further attributes that the handler's `attributes` allows",
        examples=[{"department": "Physics"}],
    )
    adopt: bool = Field(False, description="take over an account that this service did not make")


class BoundParams(AccountParams):
    """What a step says about an account that is bound to one in Active Directory."""

    sid: str | KnownAfter | None = Field(
        None,
        description="SID of the person's account in Active Directory; required by a userProxy",
        examples=["S-1-5-21-1004336348-1177238915-682003330-1106"],
    )


def _ascii_mail(text: str, longest: int) -> Adapted:
    """Return a mail address, left out if IA5String cannot hold it (RFC 4524 2.16)."""
    if text.isascii():
        return Adapted(text)
    return Adapted("", "left out: a plain directory holds only ASCII mail addresses (RFC 4524)")


class PlainParams(BoundParams):
    """What a step says about an account in an RFC 2307 directory."""

    mail: Annotated[str | KnownAfter | None, Fits(256, _ascii_mail)] = Field(
        None, validation_alias=AliasChoices("mail", "email"), description="mail address",
        examples=["j.doe@campus.test"],
    )  # fmt: skip


def check_texts(params: BaseModel) -> None:
    """Raise InvalidRequest for a path or a mail address that is not one."""
    for field, value in params.model_dump(exclude={"attributes"}).items():
        if not isinstance(value, str):
            continue
        if field == "mail" and not value.isprintable():
            raise InvalidRequest("has a control character", field=field, expected="a mail address")
        if field in {"home", "shell"} and not _PATH.match(value):
            raise InvalidRequest(
                f"{value!r} is not an absolute path", field=field, expected="/home/x"
            )


def check_sid(text: str) -> None:
    """Raise InvalidRequest if a text is not a SID."""
    try:
        sid_bytes(text)
    except ValueError as error:
        raise InvalidRequest(str(error), field="sid", expected="S-1-5-21-...") from None


def check_allowed(given: Mapping[str, str], allowed: Collection[str]) -> None:
    """Raise InvalidRequest for an attribute that the settings do not allow."""
    for name in given:
        if name not in allowed:
            raise InvalidRequest(
                f"requests may not set the attribute {name}",
                field=f"attributes.{name}",
                expected=", ".join(allowed) or "no further attributes",
            )
