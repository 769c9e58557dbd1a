"""What accounts of all directories have in common: their fields, marks, and merging claims. Pure.

Promises: one set of fields whatever a directory calls them; a name or number that no backend
should see is refused here; an account that is not ours is told from one that is.
Leaves out: attributes and classes of a certain directory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from handlers.ldap.directory.sid import sid_bytes
from provisioner.contract import (
    Claim,
    Conflict,
    Fits,
    Home,
    InvalidRequest,
    Json,
    Key,
    KnownAfter,
    Scalar,
    State,
    Told,
    Want,
    by_age,
    disagree,
    given_back,
    line,
    read_params,
    values_by_claimant,
)

NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}(?<!\.)\Z")
"""Names of users and groups that every backend takes; AD refuses one that ends with a dot."""

_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.@+-]+)+\Z")

_MARK = re.compile(r"[\w.-]+:[\w.@+-]+/(?:account|group)/[\w.@+-]+\Z")

IDENTITY = ("uid", "gid", "sid")
"""Fields about which claims may not differ."""

FIELDS = (
    "uid", "gid", "sid", "mail", "full_name", "given_name", "surname", "home", "shell",
)  # fmt: skip

_EXTRA = "attributes."
"""Before the name of a further attribute, beside those of fields."""

UNPROTECTED = "a name that is not in the handler's `protected`"

OUTPUTS = ("name", "sid", "uid", "gid", "mail", "home", "shell", "dn")


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
        None, description="user number; without one it is taken from the handler's `ids`"
    )
    gid: int | KnownAfter | None = Field(
        None, description="number of the primary group; without one the handler's `gid` decides"
    )
    home: PathText | KnownAfter | None = Field(
        None, description="home directory; the handler's `home` otherwise",
        examples=["/home/jdoe"],
    )  # fmt: skip
    shell: PathText | KnownAfter | None = Field(
        None, description="login shell; the handler's `shell` otherwise",
        examples=["/bin/bash"],
    )  # fmt: skip
    attributes: Mapping[str, Annotated[str, Fits(1024)]] = Field(
        default_factory=dict,
        description="further attributes, of those that the handler's `attributes` allows",
        examples=[{"department": "Physics"}],
    )
    adopt: bool = Field(False, description="take over an account that was not made here")


def read_account(model: type[BaseModel], params: Mapping[str, object]) -> Any:
    """Check parameters against their model; what is empty counts as not given.

    Raises InvalidRequest naming every wrong field.
    """
    given = {name: value for name, value in params.items() if value is not None and value != ""}
    return read_params(model, given)


def check_name(field: str, name: str, protected: Collection[str], longest: int = 32) -> str:
    """Give a name in lower case. Raises InvalidRequest, for a protected name too."""
    lower = name.lower()
    if not NAME.match(lower) or len(lower) > longest:
        raise InvalidRequest(
            f"{name!r} is no name for a backend",
            field=field,
            expected=f"letters, digits, `_`, `.`, `-`; a letter first; at most {longest}",
        )
    if lower in {one.lower() for one in protected}:
        raise InvalidRequest(f"{name} is protected", field=field, expected=UNPROTECTED)
    return lower


def home_named(given: AccountParams, default: Callable[[str], str]) -> Home | None:
    """Say which home an account gets; None: a step before says it."""
    name = given.name.lower()
    if isinstance(given.home, KnownAfter):
        return None
    return Home(name, given.home or default(name))


def check_texts(params: BaseModel) -> None:
    """Refuse paths and addresses that are none. Raises InvalidRequest."""
    for field, value in params.model_dump(exclude={"attributes"}).items():
        if not isinstance(value, str):
            continue
        if field == "mail" and not value.isprintable():
            raise InvalidRequest("has a control character", field=field, expected="a mail address")
        if field in {"home", "shell"} and not _PATH.match(value):
            raise InvalidRequest(f"{value!r} is no absolute path", field=field, expected="/home/x")


def check_sid(text: str) -> None:
    """Refuse what is no SID. Raises InvalidRequest."""
    try:
        sid_bytes(text)
    except ValueError as error:
        raise InvalidRequest(str(error), field="sid", expected="S-1-5-21-...") from None


def check_allowed(given: Mapping[str, str], allowed: Collection[str]) -> None:
    """Refuse attributes that the settings do not allow. Raises InvalidRequest."""
    for name in given:
        if name not in allowed:
            raise InvalidRequest(
                f"attribute {name} may not be set so",
                field=f"attributes.{name}",
                expected=", ".join(allowed) or "no further attributes",
            )


def merge_account(claims: Sequence[Claim], prior: State | None) -> Want:
    """Make one want of an account's or a group's claims: `open`, `closed` or `withdrawn`.

    A user's own claim wins over one that an allocation makes, and the newest over others. A number
    about which claims differ stays as it is. Raises Conflict when they are of several people.
    """
    live = [claim for claim in claims if not claim.suspended]
    chosen = sorted(live or claims, key=by_age, reverse=True)
    chosen.sort(key=lambda claim: not claim.claimant.startswith("user:"))
    want: dict[str, Json] = {}
    for claim in chosen:
        want |= {name: value for name, value in claim.want.items() if want.get(name) is None}
    disputed: dict[str, Json] = {}
    for field in IDENTITY:
        values = values_by_claimant(field, chosen)
        if not disagree(values):
            continue
        if field == "sid":
            told = ", ".join(f"{who} wants {field} {value}" for who, value in values.items())
            advice = "send the request that is wrong again with the right one"
            raise Conflict(f"claims are of several people: {told}", advice=advice)
        disputed[field] = {who: f"{field} {value}" for who, value in values.items()}
        del want[field]
    if disputed:
        want["disputed"] = disputed
    want["adopt"] = any(claim.want.get("adopt") for claim in chosen)
    want["wanted"] = "open" if live else "closed" if claims else "withdrawn"
    want["prior"] = dict(prior) if prior is not None else None
    return want


def differences(want: Want, state: State, fields: Collection[str]) -> dict[str, Scalar]:
    """List the fields that are wanted and are not so; what nobody wants is left as it is.

    What had been set for a claim and is left out now goes back to what it was; None: to nothing.
    """
    now, found = holds(state, fields), dict[str, Scalar]()
    for field, value in given_back(want, lambda name, value: now.get(name) == value).items():
        if field in now:
            found[field.removeprefix(_EXTRA)] = value  # type: ignore[assignment]
    for field in fields:
        wanted = want.get(field)
        if (
            wanted is not None
            and wanted != state.get(field)
            and not isinstance(wanted, (list, dict))
        ):
            found[field] = wanted  # type: ignore[assignment]
    extra, present = want.get("attributes"), state.get("attributes")
    if isinstance(extra, Mapping) and isinstance(present, Mapping):
        for name, value in extra.items():
            if value != present.get(name):
                found[name] = value  # type: ignore[assignment]
    return found


def sets(want: Want, fields: Collection[str]) -> dict[str, Json]:
    """Name the fields and further attributes that are wanted, but for what identifies somebody."""
    return {name: value for name, value in holds(want, fields).items() if value is not None}


def holds(state: State, fields: Collection[str]) -> dict[str, Json]:
    """Say what the fields and further attributes of an entry, or a want, are."""
    extra = state.get("attributes")
    found = {name: state.get(name) for name in fields if name not in IDENTITY}
    if isinstance(extra, Mapping):
        found |= {f"{_EXTRA}{name}": value for name, value in extra.items()}
    return found


def keep_numbers(key: Key, want: Want, state: State) -> Want:
    """Give the want of an object that is there: it keeps the numbers that it has.

    Files and limits hang on a number, and its old one could be given to somebody else. Raises
    Conflict where a claim names another number; a number of the settings yields.
    """
    kept = dict(want)
    for field in ("uid", "gid"):
        old = state.get(field)
        if old is None or want.get(field) in (None, old):
            continue
        if field in want.get("defaults", ()):  # type: ignore[operator]
            kept[field] = old
            continue
        raise Conflict(
            f"{key}: has {field} {old}, the request says {want[field]}",
            advice=f"a {field} is never changed: leave it out of the request, or say {old}",
        )
    return kept


def switch(want: Want) -> tuple[str, str]:
    """Give verb and text of what enables or disables an account.

    What is wanted rules: an account that was disabled by hand is enabled as long as a claim keeps
    it open, and the text says so, for whoever had a reason to disable it.
    """
    if want["wanted"] != "open":
        return "disable", "disable the account"
    if want.get("prior") is not None:
        return "enable", "enable the account"
    return "enable", "enable the account: it was disabled by hand; to keep it closed, suspend it"


def in_words(changes: Mapping[str, Scalar], state: State) -> str:
    """Write changes for a person: `shell /bin/sh -> /bin/bash`."""
    present = state.get("attributes")
    extra = present if isinstance(present, Mapping) else {}
    parts = []
    for field, value in changes.items():
        old = state.get(field, extra.get(field))
        new = _NONE if value is None else value
        was = "" if old is None else f" {line(str(old)).text} ->"
        parts.append(f"{field}{was} {new}")
    return ", ".join(parts)


_NONE = "none, as nobody asks for one any more"


# Marks.


def unlike_marks(text: str, longest: int) -> Told:
    """Put a text in quotes that reads as a mark, where marks stand beside it."""
    told = line(text, longest)
    if not _MARK.match(told.text):
        return told
    return Told(f'"{told.text}"', "put in quotes, as it reads as a provisioner's mark")


def mark_of(service: str, key: Key) -> str:
    """Write the mark that says that an entry is ours: `hpc1:ad/account/jdoe`."""
    return f"{service}:{key}"


def find_mark(texts: Collection[str], ours: str) -> str:
    """Find our mark among values and lines, else another's, else nothing."""
    lines = [line.strip() for text in texts for line in text.splitlines()]
    marks = [line for line in lines if _MARK.match(line)]
    return ours if ours in marks else next(iter(marks), "")


def without_marks(texts: Collection[str]) -> list[str]:
    """Leave the marks out of an entry's remarks."""
    return [text for text in texts if not _MARK.match(text.strip())]


def check_ownership(key: Key, ours: str, state: State, adopt: bool, would: str) -> None:
    """Refuse to change what is not ours. would: the changes in words, empty when there are none.

    Raises Conflict when another's mark is on it, or when it has none, differs, and may not be
    adopted.
    """
    mark = str(state.get("mark") or "")
    if mark == ours:
        return
    if mark:
        raise Conflict(
            f"{key}: {state.get('dn')} bears the mark of another: {mark}",
            advice="two services, or two handlers, claim one entry: let only one of them do so",
        )
    if would and not adopt:
        raise Conflict(f"{key}: {state.get('dn')} was not made here, and differs: {would}")
