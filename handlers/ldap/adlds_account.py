"""Accounts beside Active Directory: in AD LDS, or in a plain RFC 2307 directory by a profile.

Promises: an account bears the SID of the person's account in Active Directory and is never given
to another SID; its POSIX attributes follow what the route hands on from there. Numbers come from
Active Directory, or from a range, never twice. Suspending closes, and changes nothing else; an
account that a claim keeps open is enabled, whoever disabled it. Leaves out: groups (`ad_group`),
passwords (a `userProxy` has none, a `user` a random one that is thrown away), deleting.

How an account is closed: a `user` of AD LDS by `msDS-UserAccountDisabled`; a `userProxy` and an
RFC 2307 account by the login shell, because a proxy's schema has no such flag and its bind is AD's
to refuse, and because hosts that read a plain directory by NSS honour nothing else in every
product (`shadowExpire` is not read by sshd with keys, `pwdAccountLockedTime` is OpenLDAP's alone).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import Field, model_validator

from handlers.ldap.account import (
    OUTPUTS,
    AccountParams,
    check_allowed,
    check_name,
    check_ownership,
    check_sid,
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
from handlers.ldap.directory.answers import Exists
from handlers.ldap.directory.client import Directory, Modification
from handlers.ldap.directory.dialects import ACCOUNTS, FLAG, PERSON, AccountDialect
from handlers.ldap.directory.doctor import check_directory
from handlers.ldap.directory.settings import DirectorySettings
from handlers.ldap.directory.sid import sid_bytes, sid_text
from handlers.ldap.directory.text import Entry, child
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
    KnownAfter,
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


class Settings(DirectorySettings):
    """Settings of an `adlds_account`."""

    profile: Literal["adlds", "rfc2307"] = Field(
        "adlds", description="AD LDS, or a plain directory (OpenLDAP, 389) with inetOrgPerson and "
        "posixAccount",
    )  # fmt: skip
    object_class: Literal["user", "userProxy", "userProxyFull"] = Field(
        "userProxy", description="class of accounts in AD LDS"
    )
    container: str = Field(
        description="DN where accounts are made", examples=["OU=people,DC=hpc,DC=test"]
    )
    ids: Ids = Field(default_factory=Ids, description="user numbers allowed, and given out")
    gids: Ids = Field(
        default_factory=lambda: Ids(first=100), description="numbers of primary groups allowed"
    )
    gid: int | Literal["uid"] | None = Field(
        "uid", description="primary group where a request names none; `uid`: the user's own number"
    )
    home: str = Field("/home/{{ name }}", description="home directory where none is named")
    shell: str = Field("/bin/bash", description="login shell where none is named")
    closed_shell: str = Field("/sbin/nologin", description="login shell of a closed account")
    attributes: tuple[str, ...] = Field(
        (), description="further attributes that requests may set", examples=[["sAMAccountName"]]
    )
    protected: tuple[str, ...] = Field(
        ("administrator", "root"), description="names that are never touched"
    )

    @model_validator(mode="after")
    def _closable(self) -> Settings:
        if self.shell == self.closed_shell:
            raise ValueError("`shell` and `closed_shell` must differ")
        return self

    @property
    def dialect(self) -> AccountDialect:
        """Give the way accounts are written here."""
        return ACCOUNTS["rfc2307" if self.profile == "rfc2307" else self.object_class]


class Params(AccountParams):
    """What a step says about an account beside Active Directory."""

    sid: str | KnownAfter | None = Field(
        None,
        description="SID of the person's account in Active Directory; needed by a userProxy",
        examples=["S-1-5-21-1004336348-1177238915-682003330-1106"],
    )


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler; raises ConfigError naming the setting."""
    return AdldsAccount(site, read_settings(Settings, settings))


class AdldsAccount:
    """Keys `INSTANCE/account/NAME`."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane_name
        self._site = site
        self._settings = settings
        self._dialect = settings.dialect
        self._directory = Directory(settings, site.secret)
        self._numbers = Numbers(
            self._directory, settings.ids, "uidNumber", settings.base, self._dialect.ids
        )

    # Pure.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Speak of one account. Raises InvalidRequest or Refused."""
        given: Params = read_account(Params, params)
        settings = self._settings
        name = check_name("name", given.name, settings.protected)
        together(
            lambda: settings.ids.check("uid", given.uid),
            lambda: settings.gids.check("gid", given.gid, "gids"),
            lambda: check_texts(given),
            lambda: check_allowed(given.attributes, settings.attributes),
        )
        if given.sid is None and self._dialect.is_proxy:
            raise InvalidRequest(
                "a userProxy needs the SID of the account in Active Directory",
                field="sid",
                expected="{{ steps.ACCOUNT.output.sid }} in the route",
            )
        if isinstance(given.sid, str):
            check_sid(given.sid)
        if given.uid is None and settings.ids.container is None:
            raise InvalidRequest(
                "no uid, and no range to take one from",
                field="uid",
                expected="a number, or `ids: {container: ...}` in the handler's settings",
            )
        want: dict[str, Any] = given.model_dump(exclude_none=True)
        return {make_key(self._site.instance, "account", name): {**want, "name": name}}

    def home(self, params: Mapping[str, object]) -> Home | None:
        """Say which home an account gets, where we write it."""
        return home_named(read_account(Params, params), self._default_home)

    def _default_home(self, name: str) -> str:
        return self._site.render(self._settings.home, {"name": name})

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Say which texts the directory holds otherwise than they were written."""
        return adapted(Params, params)

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Merge claims; what none of them says comes from the settings, or from before."""
        want = dict(merge_account(claims, prior))
        if want["wanted"] == "open":
            saved = prior.get("shell") if prior is not None else None
            defaults: dict[str, Json] = {
                "home": self._default_home(str(want["name"])),
                "shell": saved or self._settings.shell,
                "gid": want.get("uid") if self._settings.gid == "uid" else self._settings.gid,
            }
            defaults = {name: one for name, one in defaults.items() if want.get(name) is None}
            want |= {**defaults, "defaults": list(defaults)}
        return want

    def prior(self, key: Key, state: State) -> State | None:
        """Save the shell of an open account."""
        if not state["present"] or not state["enabled"]:
            return None
        return {"shell": state["shell"]}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """List what to write; raises Conflict."""
        want = of_same_person(want)
        if not state["present"]:
            return [self._creation(key, want)] if want["wanted"] == "open" else []
        ours = mark_of(self._site.service, key)
        if want["wanted"] == "withdrawn" and state["mark"] != ours:
            return []
        self._check_person(key, want, state)
        if want["wanted"] == "open":
            want = keep_numbers(key, recalled(key, want, state), state)
        changes = list(self._repairs(key, want, state))
        words = "; ".join(change.text for change in changes)
        check_ownership(key, ours, state, bool(want.get("adopt")), words)
        notes = self._notes(key, want, state)
        if notes:
            data: dict[str, Json] = {"dn": state["dn"], "notes": notes}
            text = "adopt: mark as ours" if ours in notes else "bind to the SID"
            changes.insert(0, Change(key, "adopt", text, 0, "set", data))
        return changes

    def _check_person(self, key: Key, want: Want, state: State) -> None:
        sid = want.get("sid")
        if sid and state["sid"] and sid != state["sid"]:
            raise Conflict(
                f"{key}: {state['dn']} belongs to {state['sid']}, the request is for {sid}",
                advice="the name was given to another person: choose another name, or have the "
                "old account archived by hand; it is never handed on",
            )

    def _notes(self, key: Key, want: Want, state: State) -> list[Json]:
        """List the marks that an entry lacks: ours, and the SID where it has no attribute."""
        notes: list[Json] = []
        if not state["mark"]:
            notes.append(mark_of(self._site.service, key))
        if want["wanted"] == "open" and want.get("sid") and not state["sid"]:
            notes.append(f"sid:{want['sid']}")
        return notes

    def _creation(self, key: Key, want: Want) -> Change:
        want = remade(key, want)
        fields = {n: want[n] for n in self._dialect.attributes if want.get(n) is not None}
        data: dict[str, Json] = {
            "name": want["name"],
            "fields": fields,
            "sid": want.get("sid"),
            "attributes": want.get("attributes") or {},
            "take": want.get("uid") is None,
        }
        text = f"create account {want['name']}{returning(want, 'uid')}"
        return Change(key, "create", text, 0, "create", data)

    def _repairs(self, key: Key, want: Want, state: State) -> Iterable[Change]:
        dn, is_open = state["dn"], want["wanted"] == "open"
        if is_open:
            fields = differences(want, state, self._dialect.attributes)
            if not self._dialect.has_flag and state["enabled"] != is_open:
                fields.pop("shell", None)
            if fields.get("surname", "") is None:  # RFC 4519 wants one of every person
                fields["surname"] = str(want["name"])
            if fields:
                names = self._dialect.attributes
                data: dict[str, Json] = {
                    "dn": dn,
                    "set": {names.get(k, k): v for k, v in fields.items()},
                }
                yield Change(key, "set", in_words(fields, state), 0, "set", data)
            if want.get("uid") is None and state["uid"] is None:
                data = {"dn": dn, "take": True, "sid": want.get("sid"), "gid": state["gid"]}
                yield Change(key, "number", "give a uid of the range", 0, "number", data)
        if state["enabled"] != is_open:
            verb, text = switch(want)
            data = {"dn": dn, "set": self._switch(is_open, want)}
            yield Change(key, verb, text, 2, "set", data)

    def _switch(self, is_open: bool, want: Want) -> dict[str, Json]:
        if self._dialect.has_flag:
            return {FLAG: "FALSE" if is_open else "TRUE"}
        return {"loginShell": want["shell"] if is_open else self._settings.closed_shell}

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Name what is wanted of the account, but for its numbers."""
        return sets(want, self._dialect.attributes)

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Say what the account's fields are."""
        return holds(state, self._dialect.attributes)

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
        found = self._directory.find(
            self._dialect.name, names, self._asked(), within=self._dialect.found
        )
        seen: dict[str, list[Entry]] = {}
        for entry in found:
            seen.setdefault(self._name(entry), []).append(entry)
        return {key: self._one(key, seen.get(name, [])) for name, key in names.items()}

    def _one(self, key: Key, entries: Sequence[Entry]) -> State | Fault:
        if len(entries) > 1:
            return Conflict(
                f"{key}: several entries have this name: {', '.join(e.dn for e in entries)}",
                advice="set `base` to where accounts are unique, or have one of them renamed",
            )
        return self._state(key, entries[0]) if entries else {"present": False}

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """List the accounts of our container, but for names that no request could bear."""
        asked = self._settings.container, self._dialect.found, self._asked()
        for entry in self._directory.search(*asked):
            try:
                key = make_key(self._site.instance, "account", self._name(entry))
            except InvalidRequest:
                continue
            yield key, self._state(key, entry)

    def check(self) -> Sequence[Finding]:
        """Check servers, bind and the right to make accounts."""
        places = {"container": (self._settings.container, self._dialect.classes[-1])}
        if self._settings.ids.container:
            made = self._settings.ids.object_class or self._dialect.ids
            places["ids.container"] = (self._settings.ids.container, made)
        return check_directory(self._directory, self._site.instance, places)

    def _asked(self) -> list[str]:
        fixed = [self._dialect.name, "objectSid", FLAG, "description"]
        return [*fixed, *self._dialect.attributes.values(), *self._settings.attributes]

    def _name(self, entry: Entry) -> str:
        return (entry.text(self._dialect.name) or "").lower()

    def _state(self, key: Key, entry: Entry) -> State:
        names = self._dialect.attributes
        notes = entry.texts("description")
        fields: dict[str, Json] = {
            field: entry.number(name) if field in {"uid", "gid"} else entry.text(name)
            for field, name in names.items()
        }
        closed = entry.is_true(FLAG) or fields["shell"] == self._settings.closed_shell
        return {
            "present": True,
            "name": self._name(entry),
            "dn": entry.dn,
            "sid": self._sid(entry),
            **dict.fromkeys(PERSON),
            **fields,
            "attributes": {name: entry.text(name) for name in self._settings.attributes},
            "enabled": not closed,
            "mark": find_mark(notes, mark_of(self._site.service, key)),
        }

    def _sid(self, entry: Entry) -> str | None:
        """Give the person's SID: a proxy's own, else the one noted (AD LDS gives users its own)."""
        if self._dialect.is_proxy:
            raw = entry.raw("objectSid")
            return sid_text(raw) if raw else None
        notes = (note for note in entry.texts("description") if note.startswith("sid:S-1-"))
        return next((note.removeprefix("sid:") for note in notes), None)

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Find numbers that are another's already, of those that requests name."""
        asked = named(changes, "uid", "uidNumber", owner_of)
        return self._numbers.taken(asked, bears=self._dialect.name)

    # Writing.

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of one group; each may be written again."""
        taken = self._numbers.take([owner_of(c) for c in changes if c.data.get("take")])
        writes = {"create": self._create, "number": self._number, "adopt": self._note}
        self._directory.each(
            lambda change: writes.get(change.verb, self._set)(change, taken), changes
        )
        if any("/S-1-" not in owner for owner in taken.numbers):
            # One that names the SID is bound to the person already.
            self._numbers.settle(taken)

    def _hold(self, change: Change, name: str, number: object) -> None:
        if isinstance(number, int):
            self._numbers.hold(owner_of(change), number, name=name, bears=self._dialect.name)

    def _set(self, change: Change, _: Taken) -> None:
        wanted: Any = change.data["set"]
        self._hold(change, split_key(change.key)[2], wanted.get("uidNumber"))
        self._directory.replace(str(change.data["dn"]), wanted)

    def _note(self, change: Change, _: Taken) -> None:
        notes: Any = change.data["notes"]
        self._directory.modify(str(change.data["dn"]), [("add", "description", notes)])

    def _number(self, change: Change, taken: Taken) -> None:
        number = taken.numbers[owner_of(change)]
        changes: list[Modification] = [("replace", "uidNumber", [number])]
        if change.data["gid"] is None and self._settings.gid == "uid":
            changes.append(("replace", "gidNumber", [number]))
        self._directory.modify(str(change.data["dn"]), changes)

    def _create(self, change: Change, taken: Taken) -> None:
        name, fields = str(change.data["name"]), cast(Any, change.data["fields"])
        dn = child(self._dialect.name, name, self._settings.container)
        self._hold(change, name, fields.get("uid"))
        try:
            self._directory.add(dn, self._new(change, taken.get(owner_of(change))))
        except Exists:
            entry = self._directory.read(dn, ["objectClass"])
            if entry is None or self._dialect.classes[-1] in entry.texts("objectClass"):
                return  # made meanwhile, perhaps by us: what is read back decides
            raise Conflict(
                f"{change.key}: {dn} is there and is no {self._dialect.classes[-1]}",
                advice="rename that entry, or choose another container",
            ) from None

    def _new(self, change: Change, number: int | None) -> dict[str, Any]:
        name, sid = str(change.data["name"]), change.data["sid"]
        fields: Any = change.data["fields"]
        extra: Any = change.data["attributes"]
        if number is not None:
            gid = {"gid": number} if self._settings.gid == "uid" else {}
            fields = {**gid, **fields, "uid": number}
        notes = [mark_of(self._site.service, change.key)]
        attributes: dict[str, Any] = {
            "objectClass": list(self._dialect.classes), self._dialect.name: name, **extra
        }  # fmt: skip
        attributes |= {self._dialect.attributes[field]: value for field, value in fields.items()}
        if "surname" in self._dialect.attributes:
            # RFC 4519 wants a family name of every person; AD LDS does not mind one.
            attributes.setdefault("sn", name)
        if self._settings.profile == "rfc2307":
            attributes["cn"] = fields.get("full_name") or name
        if self._dialect.has_flag:
            # AD LDS leaves a user without a password disabled, and will not enable it.
            attributes["userPassword"] = secrets.token_urlsafe(30) + "aA1-"
        if sid and self._dialect.is_proxy:
            attributes["objectSid"] = sid_bytes(str(sid))
        elif sid:
            notes.append(f"sid:{sid}")
        return {**attributes, "description": notes}
