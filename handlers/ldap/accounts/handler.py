"""Accounts that we make and keep, in any kind of directory.

Promises: what the handler reads decides, and it may write a change again; it holds a number before
it writes the number. Leaves out: differences between directories (`dialect`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.ldap.accounts.claims import Claims, lets_in
from handlers.ldap.accounts.dialect import Dialect, Maker, NewAccount
from handlers.ldap.accounts.entries import Entries
from handlers.ldap.accounts.logons import last_logons
from handlers.ldap.accounts.plan import Planner, as_before
from handlers.ldap.accounts.settings import AccountSettings
from handlers.ldap.accounts.standing import shut_out
from handlers.ldap.bearers import borne_by_others
from handlers.ldap.directory.client import Directory, Modification, deletion
from handlers.ldap.directory.doctor import check_directory
from handlers.ldap.directory.text import child
from handlers.ldap.fields import holds, sets
from handlers.ldap.marks import mark_of
from handlers.ldap.numbers.ids import named
from handlers.ldap.numbers.kept import identity, numbers, owner_of
from handlers.ldap.numbers.numbers import Bearing, Numbers, Taken
from handlers.ldap.renamed import is_gone, nobody_claims, unclaimed
from provisioner.contract import (
    Bearers,
    Change,
    Claim,
    Claimed,
    Fault,
    Finding,
    Gone,
    Home,
    Json,
    Key,
    Scalar,
    Site,
    State,
    Uses,
    Want,
    adapted,
)

PORTION = 100
"""Accounts in a batch: each is a write of some hundredths of a second, and a look at all of them
takes two."""

OUTPUTS = ("name", "sid", "uid", "gid", "mail", "home", "shell", "dn")


@dataclass(frozen=True, slots=True)
class Backend:
    """One directory of a known kind."""

    directory: Directory
    dialect: Dialect
    maker: Maker


class Accounts:
    """Keys `INSTANCE/account/NAME`."""

    def __init__(self, site: Site, settings: AccountSettings, backend: Backend) -> None:
        self.lane = settings.lane_name
        self.maker = backend.maker
        self._site = site
        self._settings = settings
        self._container = settings.container or settings.base
        self._directory = backend.directory
        self._dialect = backend.dialect
        self._schema = backend.dialect.schema
        self._claims = Claims(site, settings, backend.dialect)
        gives_numbers = settings.ids.container is not None
        self._planner = Planner(backend.dialect, site.service, gives_numbers)
        self._claimed: Claimed = nobody_claims
        self._entries = Entries(site, backend.directory, backend.dialect, settings.attributes)
        also = ["gid"] if settings.gid == "uid" else ()
        bearing = Bearing("uidNumber", settings.base, self._schema.name, also=also)
        self._numbers = Numbers(backend.directory, settings.ids, bearing, self._schema.ids)

    # Pure.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Return the claim on one account. Raises InvalidRequest."""
        return self._claims.claimed(params)

    def home(self, params: Mapping[str, object]) -> Home | None:
        """Return the home that an account gets; None if an earlier step decides."""
        return self._claims.home(params)

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Return a remark for each text that the directory holds in another form."""
        return adapted(self._dialect.params, params)

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Return one want; values that no claim names come from the earlier state, or from the
        settings."""
        return self._claims.merged(claims, prior)

    def prior(self, key: Key, state: State) -> State | None:
        """Return of an open account what closing it changes."""
        if not state["present"] or not state["enabled"]:
            return None
        return self._dialect.saved(state)

    def as_before(self, key: Key, want: Want, state: State, prior: State) -> Want:
        """Return the want that enables an account, and sets no field."""
        return as_before(want, prior)

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Return the changes to write. Raises Conflict."""
        return self._planner.plan(key, want, state)

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Return what is wanted of the account, except its numbers."""
        return sets(want, self._schema.attributes)

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Return the account's fields."""
        return holds(state, self._schema.attributes)

    def identity(self, want: Want, state: State) -> Mapping[str, Scalar]:
        """Return the account's numbers and SID, which homes and files depend on."""
        return identity(state)

    def numbers(self, key: Key, state: State) -> Mapping[str, int]:
        """Return the account's uid, and its gid if no other object has it."""
        return numbers(key, state)

    def heed(self, bearers: Bearers) -> None:
        """Ask the ledger, too, whose a number is."""
        self._numbers.heed(bearers)

    def allotted(self) -> Mapping[str, range]:
        """Return the uids that are given out, which are gids, too, if the settings say so."""
        return self._numbers.allotted()

    def shuts(self, key: Key, before: Want, after: Want) -> bool:
        """Return True if nobody can log in with the new login shell, and people could with the
        earlier one."""
        return lets_in(before) and not lets_in(after)

    def remarks(self, key: Key, want: Want, state: State) -> Sequence[str]:
        """Return that the account has expired: opening and closing it does not change that."""
        return shut_out(state, enables=True) if want["wanted"] == "open" else ()

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        """Return the account's ids for later steps."""
        return {name: state[name] for name in OUTPUTS}  # type: ignore[misc]

    def at_once(self) -> int:
        """Return how many accounts are made before those of them that are there are handed on."""
        return PORTION

    # Reading.

    def removal(self, key: Key, state: State) -> Sequence[Sequence[str]]:
        """Return the command that deletes an entry."""
        return deletion(self._directory, state)

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Return the state of accounts, read by name, some hundreds in a search."""
        return self._entries.observe(keys)

    def ask(self, claimed: Claimed) -> None:
        """Ask the ledger, too, who claims an account by its new name."""
        self._claimed = claimed

    def sought(self, gone: Mapping[Key, Gone]) -> Mapping[Key, State | Fault]:
        """Return accounts that somebody renamed, found by number or SID."""
        lost = {k: one for k, one in gone.items() if is_gone(one) and not self._ours(k, one.state)}
        found = self._entries.sought(lost) if lost else {}
        # Whose it is, its mark says: a request for its new name may only wait for it.
        ours = {k: s for k, s in found.items() if isinstance(s, Fault) or self._ours(k, s)}
        rest = {key: state for key, state in found.items() if key not in ours}
        return {**ours, **unclaimed(rest, self._site.instance, self._claimed)}

    def _ours(self, key: Key, state: State) -> bool:
        """Return True if the entry of an account's name has our mark for it."""
        return bool(state["present"]) and state["mark"] == mark_of(self._site.service, key)

    def last_used(self, since: float, now: float) -> Uses:
        """Return when people last logged on; the directory forgets none of it."""
        return last_logons(self._directory, self._dialect.schema)

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """Return the accounts of our container that a request could name."""
        return self._entries.below(self._container)

    def check(self) -> Sequence[Finding]:
        """Check servers, bind and the right to make accounts."""
        places = {"container": (self._container, self._schema.classes[-1])}
        ids = self._settings.ids
        if ids.container:
            places["ids.container"] = (ids.container, ids.object_class or self._schema.ids)
        return check_directory(self._directory, self._site.instance, places)

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Return a fault for each name that another object has, and each number that is
        another's."""
        asked = named(changes, "uid", "uidNumber", owner_of)
        taken = self._numbers.taken(asked)
        return {**taken, **borne_by_others(self._directory, changes, self._schema)}

    # Writing.

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of one group; each may be written again."""
        refused = self._numbers.hold(named(changes, "uid", "uidNumber", owner_of))
        taken = self._numbers.take([owner_of(c) for c in changes if c.data.get("take")])
        writes: Mapping[str, Callable[[Change, Taken], None]] = {
            "create": self._create,
            "number": self._number,
            "adopt": self._note,
            "finish": self._finish,
        }

        def write(change: Change) -> None:
            if change.key in refused:
                raise refused[change.key]
            writes.get(change.verb, self._set)(change, taken)

        self._directory.each(write, changes)
        self._numbers.settle(taken)

    def _set(self, change: Change, _: Taken) -> None:
        wanted: Any = change.data["set"]
        self._directory.replace(str(change.data["dn"]), wanted)

    def _note(self, change: Change, _: Taken) -> None:
        note: Any = change.data["note"]
        self._directory.modify(str(change.data["dn"]), [tuple(note)])

    def _finish(self, change: Change, _: Taken) -> None:
        self.maker.finish(str(change.data["dn"]), str(change.data["mark"]))

    def _number(self, change: Change, taken: Taken) -> None:
        number = taken.notes[owner_of(change)].number
        changes: list[Modification] = [("replace", "uidNumber", [number])]
        if change.data["gid"] is None and self._settings.gid == "uid":
            changes.append(("replace", "gidNumber", [number]))
        self._directory.modify(str(change.data["dn"]), changes)

    def _create(self, change: Change, taken: Taken) -> None:
        name, sid = str(change.data["name"]), change.data["sid"]
        self.maker.make(
            NewAccount(
                key=change.key,
                dn=child(self._schema.rdn, name, self._container),
                name=name,
                attributes=self._attributes(change, taken.get(owner_of(change))),
                mark=mark_of(self._site.service, change.key),
                sid=str(sid) if sid else None,
            )
        )

    def _attributes(self, change: Change, number: int | None) -> dict[str, Any]:
        fields: Any = change.data["fields"]
        extra: Any = change.data["attributes"]
        if number is not None:
            gid = {"gid": number} if self._settings.gid == "uid" else {}
            fields = {**gid, **fields, "uid": number}
        return {
            "objectClass": list(self._schema.classes),
            self._schema.name: change.data["name"],
            **extra,
            **{self._schema.attributes[field]: value for field, value in fields.items()},
        }
