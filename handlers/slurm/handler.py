"""Slurm accounts, users and associations, by sacctmgr in list calls.

Promises: one writer to a slurmdbd (all its clusters share a lane); the handler reads back every
write. It leaves alone what no claim names, and removes nothing that contains other people's data.
It heals a user whom slurmctld holds with a failed uid lookup. Leaves out: definitions of QOS,
partitions and clusters.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from handlers.slurm import access
from handlers.slurm.client import tools_of
from handlers.slurm.doctor import check_slurm
from handlers.slurm.jobs import last_jobs
from handlers.slurm.limits.amounts import UNLIMITED
from handlers.slurm.limits.back import holds, sets
from handlers.slurm.limits.limits import Limits
from handlers.slurm.limits.merge import merged
from handlers.slurm.limits.specs import together
from handlers.slurm.plan import (
    ACCOUNT_LOCK,
    TEXTS,
    USER_LOCK,
    account_state,
    plan_account,
    plan_user,
    run_on,
    user_state,
)
from handlers.slurm.refers import Known, default_of, named, named_by_key, refused, without_access
from handlers.slurm.removal import below
from handlers.slurm.rest.writing import check_sayable
from handlers.slurm.rows import WITHOUT, asked_partitions, ours_of, rows_of, state_of, stays_alone
from handlers.slurm.settings import Params, Settings
from handlers.slurm.slurmctld import Held
from handlers.slurm.slurmdbd import Look, by_name, contradicted, default_accounts, doubled
from handlers.slurm.texts import LONGEST, as_held
from handlers.slurm.together import both
from handlers.slurm.userrecords import lost
from handlers.slurm.writes import write
from provisioner.contract import (
    Change,
    Claim,
    Fault,
    Finding,
    InvalidRequest,
    Json,
    Key,
    Permanent,
    Scalar,
    Site,
    State,
    Uses,
    Want,
    adapted,
    by_age,
    make_key,
    read_params,
    read_settings,
    split_key,
)

__all__ = ["Params", "Settings", "Slurm", "build"]


def _texts(texts: Mapping[str, str], user: str | None) -> dict[str, str]:
    """Return the texts of specs, checked like those of parameters. Raises InvalidRequest."""
    if texts and user is not None:
        named = " and ".join(text.capitalize() for text in texts)
        what = f"{named} cannot be set on a user"
        raise InvalidRequest(what, field="specs", expected="write it in the account's specs")
    try:
        return {name: as_held(text, LONGEST).text for name, text in texts.items()}
    except ValueError as error:
        raise InvalidRequest(str(error), field="specs") from None


def _looked_for(keys: Collection[Key]) -> tuple[set[str], set[str], set[str]]:
    """Return the accounts and users of a look at some objects, and which of the accounts' texts."""
    parts = [split_key(key) for key in keys]
    users = {names[3] for names in parts if names[1] == "assoc"}
    described = {names[2] for names in parts if names[1] == "account"}
    return {names[2] for names in parts}, users, described


class Slurm:
    """The handler of one cluster."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane
        self._instance = site.instance
        self._settings = settings
        self._tools = tools_of(site, settings)
        self._made: frozenset[str] = frozenset()

    # Wants.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        parsed = read_params(Params, params)
        for field, name in (("account", parsed.account), ("user", parsed.user)):
            if name in self._settings.protected:
                other = "a name that is not in the handler's `protected`"
                raise InvalidRequest(f"{name} is protected", field=field, expected=other)
        specs = together(parsed.specs, parsed.fairshare, parsed.qos)
        if self._settings.transport == "rest":
            check_sayable(specs.limits)
        texts = _texts(specs.texts, parsed.user)
        want: dict[str, Any] = {"present": True, "account": parsed.account, "limits": specs.limits}
        if parsed.user is not None:
            key = make_key(self._instance, "assoc", parsed.account, parsed.user)
            want |= {"user": parsed.user, "default": parsed.default}
            return {key: {**want, "partitions": sorted(set(parsed.partitions))}}
        if parsed.partitions:
            wrong = "an account has no partitions; its users have them"
            raise InvalidRequest(wrong, field="partitions", expected="a user with them")
        key = make_key(self._instance, "account", parsed.account)
        want |= {
            "parent": parsed.parent or self._settings.parent,
            "description": parsed.description,
            "organization": parsed.organization,
            "adopt": parsed.adopt,
            **texts,
        }
        if str(want["parent"]).lower() == parsed.account.lower():
            own = f"{parsed.account} cannot be its own parent"
            raise InvalidRequest(own, field="parent", expected="another account, or no parent")
        return {key: want}

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Return a remark for each text that Slurm holds in another form."""
        return adapted(Params, params)

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        _, kind, *names = split_key(key)
        live = [claim for claim in claims if not claim.suspended]
        lock = USER_LOCK if kind == "assoc" else ACCOUNT_LOCK
        base: dict[str, Any] = {"present": bool(claims) or kind == "account", "account": names[0]}
        if kind == "assoc":
            base["user"] = names[1]
        texts: dict[str, Any] = {}
        for claim in sorted(live or claims, key=by_age):
            texts |= {name: value for name, value in claim.want.items() if value is not None}
        if any(claim.want.get("default") for claim in live):
            texts["default"] = True
        if kind == "assoc":
            texts["partitions"] = asked_partitions(live or claims)
        if not live:
            base |= self._ends_jobs(kind) if claims else {}
            return {**texts, **base, "closed": True, "limits": dict(lock)}
        made = merged(live, self._settings.merge)
        # A lock that nobody wants any more is removed; earlier limits return if they are known.
        before = cast(Limits, (prior or {}).get("limits") or {})
        opened = {name: before.get(name, UNLIMITED) for name in lock if name not in made.limits}
        base |= {"closed": False, "limits": made.limits, "unlocked": opened}
        base |= {"saved": True} if before else {}
        parts = cast(Mapping[str, Limits], (prior or {}).get("partitions") or {})
        if parts:
            base["unlocked_in"] = {
                partition: {name: own[name] for name in opened} for partition, own in parts.items()
            }
        base |= {"disputed": made.disputed} if made.disputed else {}
        base |= {"shared": made.shared} if made.shared else {}
        return {**texts, **base}

    def _ends_jobs(self, kind: str) -> dict[str, Any]:
        """Return how many jobs of a suspended user are cancelled at most; nothing if none are."""
        cancels = kind == "assoc" and self._tools.slurmctld.scancel
        return {"cancels": self._settings.most_cancelled} if cancels else {}

    def shuts(self, key: Key, before: Want, after: Want) -> bool:
        """Return True if people lose a partition, a QOS, or all jobs by a limit of 0."""
        return access.shuts(before, after)

    def prior(self, key: Key, state: State) -> State | None:
        if not state["present"]:
            return None
        lock = ACCOUNT_LOCK if split_key(key)[1] == "account" else USER_LOCK
        own = {
            partition: {name: seen.get(name, UNLIMITED) for name in lock}
            for partition, seen in rows_of(state).items()
        }
        saved = {partition: limits for partition, limits in own.items() if limits != lock}
        return cast(State, state_of(saved)) if saved else None

    def as_before(self, key: Key, want: Want, state: State, prior: State) -> Want:
        """Return the want that removes our locks, where one was set, and sets nothing else."""
        locked = rows_of(prior)
        kept: dict[str, Any] = {
            name: want[name] for name in ("present", "account", "user") if name in want
        }
        kept |= {"closed": False, "limits": {}, "as_before": True}
        whole = locked.get(WITHOUT) or {}
        return {**kept, "unlocked": whole, "unlocked_in": locked, "saved": bool(whole)}

    # States.

    def prepare(self, keys: Collection[Key]) -> None:
        """Look at what is about to be made, while nobody waits, and start what makes it."""
        self._tools.slurmdbd.prepare(*_looked_for(keys))
        self._tools.slurmctld.prepare()

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        parts = {key: split_key(key) for key in keys}
        accounts, users, described = _looked_for(keys)
        look, held = self._look(accounts, users, described)
        grouped = by_name(look.rows)
        present = {user for _, user in grouped if user in users}
        slurmctld = self._tools.slurmctld
        jobs = slurmctld.jobs(accounts, present) if slurmctld.scancel and present else {}
        suspects = present - {user for _, user in look.named.partitions}
        unrecorded = lost(self._tools.slurmdbd, suspects, grouped)
        results: dict[Key, State | Fault] = {}
        for key, (_, kind, account, *rest) in parts.items():
            user = rest[0] if rest else ""
            accounts_own = grouped.get((account, ""), [])
            there = grouped.get((account, user), [])
            doubt = doubled(accounts_own) or doubled(there)
            if kind == "assoc" and doubt is None and user not in unrecorded:
                named = look.named.partitions.get((account, user), set())
                doubt = contradicted(account, user, there, named)
            if doubt is not None:
                results[key] = doubt
                continue
            own = next(iter(accounts_own), None)
            if kind == "account":
                texts, shared = look.texts.get(account), account in look.shared
                results[key] = account_state(account, own, texts, shared)
            else:
                default = look.named.defaults.get(user, "")
                state = user_state(account, user, there, default, held, own is not None)
                more = {"jobs": jobs.get((account, user), 0), "unrecorded": unrecorded.get(user)}
                results[key] = {**state, **{name: one for name, one in more.items() if one}}
        return results

    def _look(
        self, accounts: Collection[str], users: Collection[str], described: Collection[str]
    ) -> tuple[Look, Held]:
        """Return what slurmdbd has of accounts and users, and what slurmctld holds of those who are
        there. Users who were just added are there most likely: both are asked at once."""
        slurmdbd, slurmctld = self._tools.slurmdbd, self._tools.slurmctld
        ask = functools.partial(slurmdbd.look, accounts, users, described)
        made, self._made = self._made.intersection(users), frozenset()
        if not made:
            look, held = ask(), Held()
        else:
            look, held = both(ask, functools.partial(slurmctld.held, made, accounts))
        there = {row.user for row in look.rows if row.user in users}
        if there != made:
            held = slurmctld.held(there, accounts) if there else Held()
        return look, held

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Return the limits that are wanted; an account's texts stay, because it always has
        some."""
        return sets(cast(Limits, want["limits"]))

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Return the limits of an association itself; of several, those of the one without a
        partition."""
        lock = ACCOUNT_LOCK if split_key(key)[1] == "account" else USER_LOCK
        return holds(next((row for _, row in sorted(rows_of(state).items())), {}), lock)

    def remarks(self, key: Key, want: Want, state: State) -> Sequence[str]:
        """Return that a user keeps only their partitions, although nobody asked for these; that
        jobs run on."""
        if "user" not in want:
            return ()
        return (*stays_alone(want, rows_of(state)), *run_on(want, state))

    def identity(self, want: Want, state: State) -> Mapping[str, Scalar]:
        """Return what was last asked for: an account's texts, which are the slurmdbd's, and a
        user's partitions, which are then not somebody else's."""
        if want.get("closed"):
            return {}
        if "user" in want:
            asked = ",".join(cast(Sequence[str], want.get("partitions") or ()))
            return {"partitions": asked} if asked or ours_of(want) else {}
        return {name: want.get(name) for name in TEXTS}  # type: ignore[misc]

    def removal(self, key: Key, state: State) -> Sequence[Sequence[str]]:
        """Return the command that deletes an account or a user's associations; records of jobs
        stay in the accounting."""
        _, _, account, *user = split_key(key)
        where = [f"name={user[0]}", f"account={account}"] if user else [f"name={account}"]
        kind = "user" if user else "account"
        return [["sacctmgr", "delete", kind, "where", *where, f"cluster={self._settings.cluster}"]]

    def enclosed(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Key]]:
        """Return the accounts below accounts, and everybody's associations with all of these."""
        accounts = [key for key in keys if split_key(key)[1] == "account"]
        rows = self._tools.slurmdbd.associations(()) if accounts else []
        return {key: below(key, rows) for key in accounts}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if split_key(key)[1] == "account":
            return plan_account(key, want, state, self._settings.parent)
        return plan_user(key, want, state)

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Return a fault for each change that names an unknown QOS, resource, partition or
        parent."""
        named = named_by_key(changes)
        made = {str(change.data["name"]) for change in changes if change.verb == "add-account"}
        made |= {"root", self._settings.parent}
        slurmdbd, slurmctld = self._tools.slurmdbd, self._tools.slurmctld
        qos = slurmdbd.qos() if any(names.qos for names in named.values()) else ()
        tres = slurmdbd.tres() if any(names.resources for names in named.values()) else ()
        parents = {names.parent for names in named.values() if names.parent} - made
        there = {row.account for row in slurmdbd.associations(parents)} if parents else set()
        missing = parents - there
        known = {row.account for row in slurmdbd.associations(())} if missing else set()
        asked = any(names.partitions for names in named.values())
        parts = slurmctld.partitions() if asked else None
        facts = Known(self._settings.cluster, qos, tres, missing, known, parts)
        return {**self._without_access(changes), **refused(named, facts)}

    def _without_access(self, changes: Sequence[Change]) -> dict[Key, Fault]:
        some = [change for change in changes if default_of(change)]
        accounts = {str(change.data.get("account", change.data["name"])) for change in some}
        accounts |= {named(change).parent for change in some} - {""}
        allowed = self._tools.slurmdbd.usable_qos(accounts) if some else {}
        told = [(change.key, without_access(change, allowed)) for change in some]
        advice = "add it to the QOS of the account, or to those in the user's specs"
        return {key: Permanent(f"{key}: {text}", advice=advice) for key, text in told if text}

    # Writes.

    def apply(self, changes: Sequence[Change]) -> None:
        self._made |= {str(one.data["name"]) for one in changes if one.verb == "add-user"}
        write(self._tools, changes)

    # The rest.

    def last_used(self, since: float, now: float) -> Uses:
        """Return when people last had a job on the cluster."""
        return last_jobs(self._tools.records, since, now)

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """Return everything except protected names and names that no request could have."""
        rows = self._tools.slurmdbd.associations(())
        described = self._tools.slurmdbd.accounts(())
        defaults = default_accounts(self._tools.slurmdbd, ())
        grouped = by_name(rows)
        for (account, user), there in grouped.items():
            if account in self._settings.protected or user in self._settings.protected:
                continue
            names = (account, user) if user else (account,)
            try:
                key = make_key(self._instance, "assoc" if user else "account", *names)
            except InvalidRequest:
                continue
            if user:
                yield key, user_state(account, user, there, defaults.get(user, ""), Held(), True)
            else:
                yield key, account_state(account, there[0], described.get(account))

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        user = state.get("user")
        named = {"account": str(state["account"]), "user": str(user) if user else None}
        rows = rows_of(state)
        return named if WITHOUT in rows or not rows else {**named, "partitions": ",".join(rows)}

    def check(self) -> Sequence[Finding]:
        return check_slurm(self._tools, self._settings.cluster)


def build(site: Site, settings: Mapping[str, object]) -> Slurm:
    """Build the handler of one cluster. Raises ConfigError that names the wrong setting."""
    return Slurm(site, read_settings(Settings, settings))
