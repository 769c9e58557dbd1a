"""Accounts in Active Directory: looked up where the campus owns them, managed where we do.

Promises: `lookup` writes nothing, and is not ready until the account is there; `manage` makes an
enabled account in one add where the server takes that, and changes only what is asked for and is
ours. Suspending sets ACCOUNTDISABLE and nothing else; an account that a claim keeps open is
enabled, whoever disabled it. A first password is random and thrown away. Leaves out: groups
(`ad_group`), handing out passwords (a site's hook), deleting, moving.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from handlers.ldap.account import (
    OUTPUTS,
    AccountParams,
    check_allowed,
    check_name,
    check_ownership,
    check_texts,
    differences,
    find_mark,
    holds,
    home_named,
    in_words,
    keep_numbers,
    mark_of,
    merge_account,
    read_account,
    sets,
    switch,
)
from handlers.ldap.directory.answers import Exists, Unwilling
from handlers.ldap.directory.client import Directory, Modification
from handlers.ldap.directory.dialects import ACCOUNTS
from handlers.ldap.directory.doctor import check_directory
from handlers.ldap.directory.settings import DirectorySettings
from handlers.ldap.directory.sid import built_in, sid_text
from handlers.ldap.directory.text import Entry, child, same_dn
from handlers.ldap.lookup import Lookup, namesakes
from handlers.ldap.numbers.ids import Ids, Numbers, Taken, named
from handlers.ldap.numbers.kept import (
    identity,
    of_same_person,
    owner_of,
    recalled,
    remade,
    returning,
)
from provisioner.contract import (
    Change,
    Claim,
    Conflict,
    Fault,
    Finding,
    Handler,
    Home,
    InvalidRequest,
    Json,
    Key,
    Scalar,
    Site,
    State,
    Want,
    adapted,
    make_key,
    read_settings,
    split_key,
    together,
)

_DISABLED = 0x2
"""ACCOUNTDISABLE (MS-ADTS 2.2.16)."""

_NORMAL = 0x200
"""NORMAL_ACCOUNT: a user, enabled."""

_USERS = "(&(objectClass=user)(!(objectClass=computer)))"

_UNFINISHED = "unfinished: has no password yet"
"""Stands below the mark of an account that was made disabled, until it is enabled."""

_ATTRIBUTES = ACCOUNTS["user"].attributes
_WRITTEN = tuple(_ATTRIBUTES)


class Settings(DirectorySettings):
    """Settings of an `ad_account`."""

    mode: Literal["lookup", "manage"] = Field(
        "lookup", description="`lookup`: the campus makes accounts; `manage`: we do"
    )
    container: str | None = Field(
        None, description="DN where accounts are made; needed by `manage`",
        examples=["OU=HPC,DC=campus,DC=test"],
    )  # fmt: skip
    domain: str | None = Field(
        None, description="what follows the @ in userPrincipalName; needed by `manage`",
        examples=["campus.test"],
    )  # fmt: skip
    ids: Ids = Field(default_factory=Ids, description="user numbers allowed, and given out")
    gids: Ids = Field(
        default_factory=lambda: Ids(first=100), description="numbers of primary groups allowed"
    )
    requires: tuple[Literal["uid", "gid", "mail", "home", "shell"], ...] = Field(
        (), description="`lookup`: what an account has to have before anything is done with it; it "
        "is waited for", examples=[["uid", "gid"]],
    )  # fmt: skip
    gid: int | Literal["uid"] | None = Field(
        "uid", description="primary group where a request names none; `uid`: the user's own number"
    )
    home: str = Field("/home/{{ name }}", description="home directory where none is named")
    shell: str = Field("/bin/bash", description="login shell where none is named")
    attributes: tuple[str, ...] = Field(
        (), description="further attributes that requests may set", examples=[["department"]]
    )
    protected: tuple[str, ...] = Field(
        ("administrator", "guest", "krbtgt", "root"), description="names that are never touched"
    )

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.mode == "manage" and not (self.container and self.domain):
            raise ValueError("`manage` needs `container` and `domain`")
        return self


class Params(AccountParams):
    """What a step says about an account in Active Directory."""


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler; raises ConfigError naming the setting."""
    return AdAccount(site, read_settings(Settings, settings))


class AdAccount:
    """Keys `INSTANCE/account/NAME`.

    in_one_add: an add may carry the password; off once a server was found to want three steps.
    """

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane_name
        self._site = site
        self._settings = settings
        self._directory = Directory(settings, site.secret)
        self._numbers = Numbers(
            self._directory, settings.ids, "uidNumber", settings.base, "container"
        )
        self._lookup = Lookup(
            settings.base, settings.requires, {"uid": settings.ids, "gid": settings.gids}
        )
        self.in_one_add = True

    # Pure.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Speak of one account. Raises InvalidRequest or Refused."""
        given: Params = read_account(Params, params)
        settings = self._settings
        # sAMAccountName of a user holds 20 characters (MS-ADTS 3.1.1.6, SAM's rule).
        longest = 20 if settings.mode == "manage" else 32
        name = check_name("name", given.name, settings.protected, longest)
        together(
            lambda: settings.ids.check("uid", given.uid),
            lambda: settings.gids.check("gid", given.gid, "gids"),
            lambda: check_texts(given),
            lambda: check_allowed(given.attributes, settings.attributes),
        )
        want: dict[str, Any] = given.model_dump(exclude_none=True)
        return {make_key(self._site.instance, "account", name): {**want, "name": name}}

    def home(self, params: Mapping[str, object]) -> Home | None:
        """Say which home an account gets, where we write it."""
        if self._settings.mode == "lookup":
            return None
        return home_named(read_account(Params, params), self._default_home)

    def _default_home(self, name: str) -> str:
        return self._site.render(self._settings.home, {"name": name})

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Say which texts the directory holds otherwise than they were written."""
        return adapted(Params, params)

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Merge claims; what none of them says comes from the settings."""
        want = dict(merge_account(claims, prior))
        if self._settings.mode == "manage" and want["wanted"] == "open":
            defaults: dict[str, Json] = {
                "home": self._default_home(str(want["name"])),
                "shell": self._settings.shell,
                "gid": want.get("uid") if self._settings.gid == "uid" else self._settings.gid,
            }
            defaults = {name: one for name, one in defaults.items() if want.get(name) is None}
            want |= {**defaults, "defaults": list(defaults)}
        return want

    def prior(self, key: Key, state: State) -> State | None:
        """Save that it was enabled, so that the plan knows who disabled it."""
        if self._settings.mode == "lookup" or not state["present"] or not state["enabled"]:
            return None
        return {"enabled": True}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """List what to write; raises NotReady or Conflict."""
        if self._settings.mode == "lookup":
            return self._lookup.plan(key, want, state)
        want = of_same_person(want)
        if not state["present"]:
            return [self._creation(key, want)] if want["wanted"] == "open" else []
        ours = mark_of(self._site.service, key)
        if want["wanted"] == "withdrawn" and state["mark"] != ours:
            return []
        if want["wanted"] == "open":
            want = keep_numbers(key, recalled(key, want, state), state)
        changes = list(self._repairs(key, want, state, ours))
        words = "; ".join(change.text for change in changes)
        check_ownership(key, ours, state, bool(want.get("adopt")), words)
        if state["mark"] != ours:
            note = "\r\n".join(filter(None, [str(state["note"] or ""), ours]))
            data: dict[str, Json] = {"dn": state["dn"], "set": {"info": note}}
            changes.insert(0, Change(key, "adopt", "adopt: mark as ours", 0, "set", data))
        return changes

    def _creation(self, key: Key, want: Want) -> Change:
        want = remade(key, want)
        fields = {name: want[name] for name in _WRITTEN if want.get(name) is not None}
        extra = want.get("attributes")
        data: dict[str, Json] = {
            "name": want["name"],
            "fields": fields,
            "attributes": extra if isinstance(extra, Mapping) else {},
            "take": self._takes(want.get("uid")),
        }
        text = f"create account {want['name']}{returning(want, 'uid')}"
        return Change(key, "create", text, 0, "create", data)

    def _repairs(self, key: Key, want: Want, state: State, ours: str) -> Iterable[Change]:
        dn, wanted = state["dn"], want["wanted"]
        if wanted == "open":
            fields = differences(want, state, _WRITTEN)
            if fields:
                named: dict[str, Json] = {_ATTRIBUTES.get(k, k): v for k, v in fields.items()}
                text = in_words(fields, state)
                yield Change(key, "set", text, 0, "set", {"dn": dn, "set": named})
            if self._takes(want.get("uid")) and state["uid"] is None:
                data: dict[str, Json] = {"dn": dn, "take": True, "gid": state["gid"]}
                yield Change(key, "number", "give a uid of the range", 0, "number", data)
            if state["unfinished"]:
                data = {"dn": dn, "mark": ours}
                yield Change(key, "finish", "set first password, enable", 1, "finish", data)
                return
        if state["enabled"] != (wanted == "open") and not state["unfinished"]:
            control = int(str(state["control"]))
            number = control & ~_DISABLED if wanted == "open" else control | _DISABLED
            verb, text = switch(want)
            data = {"dn": dn, "set": {"userAccountControl": str(number)}}
            yield Change(key, verb, text, 2, "set", data)

    def _takes(self, uid: object) -> bool:
        return uid is None and self._settings.ids.container is not None

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Name what is wanted of the account, but for its numbers."""
        return sets(want, _WRITTEN) if self._settings.mode == "manage" else {}

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Say what the account's fields are."""
        return holds(state, _WRITTEN)

    def identity(self, want: Want, state: State) -> Mapping[str, Scalar]:
        """Name the account's numbers and SID, which homes and files hang on."""
        return identity(state)

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        """Name the account's ids for later steps."""
        return {name: state[name] for name in OUTPUTS}  # type: ignore[misc]

    # Reading.

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Read accounts by name, some hundreds a question."""
        names = {split_key(key)[2]: key for key in keys}
        found = self._directory.find("sAMAccountName", names, self._asked(), within=_USERS)
        seen = {(entry.text("sAMAccountName") or "").lower(): entry for entry in found}
        states = {name: self._state(names[name], entry) for name, entry in seen.items()}
        if self._settings.mode == "lookup":  # what we manage is held against `ids` when written
            for name, alike in namesakes(self._directory, seen, within=_USERS).items():
                states[name] = {**states[name], "namesakes": alike}
        return {key: states.get(name, {"present": False}) for name, key in names.items()}

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """List the accounts of our container; where we only look up, none is ours to explain.

        Left out are those that come with a domain, and names that no request could bear.
        """
        if self._settings.mode == "lookup":
            return
        below = self._settings.container or self._settings.base
        for entry in self._directory.search(below, _USERS, self._asked()):
            try:
                name = (entry.text("sAMAccountName") or "").lower()
                key = make_key(self._site.instance, "account", name)
            except InvalidRequest:
                continue
            state = self._state(key, entry)
            if not built_in(str(state["sid"] or "")):
                yield key, state

    def check(self) -> Sequence[Finding]:
        """Check servers, bind and the right to make accounts."""
        places: dict[str, tuple[str, str]] = {}
        if self._settings.mode == "manage" and self._settings.container:
            places["container"] = (self._settings.container, "user")
            if self._settings.ids.container:
                made = self._settings.ids.object_class or "container"
                places["ids.container"] = (self._settings.ids.container, made)
        return check_directory(self._directory, self._site.instance, places)

    def _asked(self) -> list[str]:
        fixed = ["sAMAccountName", "objectSid", "userAccountControl", "info"]
        return [*fixed, *_ATTRIBUTES.values(), *self._settings.attributes]

    def _state(self, key: Key, entry: Entry) -> State:
        control = entry.number("userAccountControl") or 0
        sid, note = entry.raw("objectSid"), entry.text("info") or ""
        fields: dict[str, Json] = {
            field: entry.number(name) if field in {"uid", "gid"} else entry.text(name)
            for field, name in _ATTRIBUTES.items()
        }
        ours = mark_of(self._site.service, key)
        return {
            "present": True,
            "name": (entry.text("sAMAccountName") or "").lower(),
            "dn": entry.dn,
            "sid": sid_text(sid) if sid else None,
            **fields,
            "attributes": {name: entry.text(name) for name in self._settings.attributes},
            "enabled": not control & _DISABLED,
            "control": control,
            "mark": find_mark([note], ours),
            "note": note,
            "unfinished": _UNFINISHED in note and find_mark([note], ours) == ours,
        }

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Find numbers that are another's already, of those that requests name."""
        asked = named(changes, "uid", "uidNumber", owner_of)
        return self._numbers.taken(asked, bears="sAMAccountName")

    # Writing.

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of one group; each may be written again."""
        taken = self._numbers.take([owner_of(c) for c in changes if c.data.get("take")])
        writes = {"create": self._create, "finish": self._finish, "number": self._number}
        self._directory.each(
            lambda change: writes.get(change.verb, self._set)(change, taken), changes
        )
        self._numbers.settle(taken)

    def _hold(self, change: Change, name: str, number: object) -> None:
        if isinstance(number, int):
            self._numbers.hold(owner_of(change), number, name=name, bears="sAMAccountName")

    def _set(self, change: Change, _: Taken) -> None:
        wanted: Any = change.data["set"]
        self._hold(change, split_key(change.key)[2], wanted.get("uidNumber"))
        self._directory.replace(str(change.data["dn"]), wanted)

    def _number(self, change: Change, taken: Taken) -> None:
        number = taken.numbers[owner_of(change)]
        changes: list[Modification] = [("replace", "uidNumber", [number])]
        if change.data["gid"] is None and self._settings.gid == "uid":
            changes.append(("replace", "gidNumber", [number]))
        self._directory.modify(str(change.data["dn"]), changes)

    def _create(self, change: Change, taken: Taken) -> None:
        name = str(change.data["name"])
        dn = child("CN", name, self._settings.container or "")
        mark = mark_of(self._site.service, change.key)
        fields: Any = change.data["fields"]
        self._hold(change, name, fields.get("uid"))
        attributes = self._new(change, taken.get(owner_of(change)))
        try:
            if self.in_one_add:
                try:
                    enabled: dict[str, Any] = {
                        "userAccountControl": _NORMAL, "unicodePwd": _password(), "info": mark
                    }  # fmt: skip
                    self._directory.add(dn, {**attributes, **enabled})
                    return
                except Unwilling:
                    pass  # some servers take no password in an add: the three steps will tell
            disabled: dict[str, Any] = {
                "userAccountControl": _NORMAL | _DISABLED, "info": f"{mark}\r\n{_UNFINISHED}"
            }  # fmt: skip
            self._directory.add(dn, {**attributes, **disabled})
            self._enable(dn, mark)
            self.in_one_add = False
        except Exists:
            self._explain(change.key, name, dn)

    def _new(self, change: Change, number: int | None) -> dict[str, Any]:
        name = str(change.data["name"])
        fields: Any = change.data["fields"]
        extra: Any = change.data["attributes"]
        if number is not None:
            gid = {"gid": number} if self._settings.gid == "uid" else {}
            fields = {**gid, **fields, "uid": number}
        return {
            "objectClass": ["top", "person", "organizationalPerson", "user"],
            "sAMAccountName": name,
            "userPrincipalName": f"{name}@{self._settings.domain}",
            **{_ATTRIBUTES[field]: value for field, value in fields.items()},
            **extra,
        }

    def _explain(self, key: Key, name: str, dn: str) -> None:
        """Find out what stands in the way of an account; one of its name is no fault here."""
        if self._directory.find("sAMAccountName", [name], ["cn"], within=_USERS):
            return
        entry = self._directory.read(dn, ["sAMAccountName"])
        bearer = entry.text("sAMAccountName") if entry else "a group or computer"
        raise Conflict(
            f"{key}: the name is in use by {bearer} ({same_dn(dn)})",
            advice="rename what has the name, or choose another one",
        )

    def _finish(self, change: Change, _: Taken) -> None:
        self._enable(str(change.data["dn"]), str(change.data["mark"]))

    def _enable(self, dn: str, mark: str) -> None:
        self._directory.modify(dn, [("replace", "unicodePwd", [_password()])])
        self._directory.modify(
            dn, [("replace", "userAccountControl", [_NORMAL]), ("replace", "info", [mark])]
        )


def _password() -> bytes:
    """Make a password that nobody knows, as `unicodePwd` is written (MS-ADTS 3.1.1.3.1.5)."""
    return f'"{secrets.token_urlsafe(30)}aA1-"'.encode("utf-16-le")
