"""Plans for Slurm.

The current state of accounts and associations, and the changes that bring them to the wanted state.

Promises: pure. The plan makes accounts before users, sets limits after that, and locks users before
it removes them. Leaves out: the calls (`writes`), and who wants what (`handler`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from handlers.slurm.limits.amounts import UNLIMITED
from handlers.slurm.limits.back import steps, unlocked
from handlers.slurm.limits.limits import Limits, add_words, is_clear, is_whole, set_words
from handlers.slurm.rows import (
    WITHOUT,
    Division,
    Rows,
    divide,
    rows_of,
    selections,
    state_of,
    words,
)
from handlers.slurm.slurmctld import Held
from handlers.slurm.slurmdbd import Association
from handlers.slurm.texts import same_text
from handlers.slurm.userrecords import is_lost, made_again
from provisioner.contract import Change, Conflict, Key, NotReady, State, Want

USER_LOCK: Limits = {"MaxJobs": 0, "MaxSubmitJobs": 0}
"""Limits that close an association. Without MaxJobs, queued jobs would still start."""

ACCOUNT_LOCK: Limits = {"GrpJobs": 0, "GrpSubmitJobs": 0}
"""Limits that close an account."""

TEXTS = ("description", "organization")
"""Texts that an account has once in a slurmdbd, for all clusters."""


def plan_account(key: Key, want: Want, state: State, root: str) -> Sequence[Change]:
    """Return the changes that make an account as wanted. root: parent of accounts that name
    none."""
    account = str(want["account"])
    limits = cast(Limits, want["limits"])
    if not state["present"]:
        if want.get("closed"):
            return ()
        attributes = _attributes(want, {**limits})
        phase = 0 if want.get("parent") == root else 1
        group = "add-account " + " ".join(attributes)
        data = {"name": account, "attributes": attributes}
        return [Change(key, "add-account", f"add account {account}", phase, group, data)]
    changes = []
    sets = []
    if not want.get("closed"):
        sets = [
            f"{name}={want[name]}"
            for name in (*TEXTS, "parent")
            if want.get(name)
            and not same_text(str(want[name]), str(state[name]))
            and not _is_anothers(name, want, state)
        ]
        if any(s.startswith("parent=") for s in sets) and not want.get("adopt"):
            _check_parent(key, want, state)
    first, *rest = _steps(want, cast(Limits, state["limits"])) or [[]]
    for number, some in enumerate([sets + first, *rest]):
        if some:
            data = {"name": account, "attributes": some}
            text = f"account {account}: {', '.join(some)}{_for_all(some, state)}"
            group = "modify-account " + " ".join(some)
            changes.append(Change(key, "modify-account", text, 30 + number, group, data))
    return changes


def _is_anothers(name: str, want: Want, state: State) -> bool:
    """Return True if a text was set for another cluster since a claim last asked for it here.

    slurmdbd keeps one description and organization per account for all clusters. The last request
    to change it wins; a reconcile does not change it back.
    """
    was = want.get("was")
    asked = was.get(name) if isinstance(was, Mapping) else None
    return bool(state.get("shared")) and name in TEXTS and asked == want.get(name)


def _for_all(sets: Collection[str], state: State) -> str:
    """Return a note that a text belongs to all clusters, for an account that other clusters also
    have."""
    texts = [name for name in TEXTS if any(one.startswith(f"{name}=") for one in sets)]
    if not state.get("shared") or not texts:
        return ""
    before = ", ".join(f"{name} {state[name]!r}" for name in texts)
    return f" (on all clusters of this slurmdbd; it was {before})"


def _check_parent(key: Key, want: Want, state: State) -> None:
    """Refuse to move an account that was not made for this project."""
    if _is_anothers("description", want, state):
        return
    described = str(want.get("description") or "")
    if state["description"] and described and not same_text(described, str(state["description"])):
        raise Conflict(
            f"{key}: the account exists below {state['parent']!r} as {state['description']!r}; "
            f"the request wants it below {want['parent']!r} as {described!r}"
        )


def plan_user(key: Key, want: Want, state: State) -> Sequence[Change]:
    """Return the changes that make a user's associations as wanted."""
    account, user = str(want["account"]), str(want["user"])
    data: dict[str, Any] = {"account": account, "name": user}
    rows = rows_of(state)
    if not want["present"]:
        return _plan_removal(key, rows, data) if rows else ()
    division = divide(want, rows)
    changes = []
    if division.missing:
        if not state["account_present"]:
            raise NotReady(
                f"{key}: account {account} does not exist",
                advice="provision the allocation that makes it",
            )
        changes.append(_added(key, want, division.missing, data))
    if not rows:
        return changes
    if state["uid_failed"]:
        text = f"repair {user}: slurmctld cached a failed uid lookup; run `id {user}` on its host"
        changes.append(Change(key, "heal", text, 25, "heal", data))
    calls = {name: _row_steps(want, name, division, rows[name]) for name in rows}
    # New associations come first; the changes and removals below do not include them.
    beside = {**dict.fromkeys(division.missing, cast(Limits, {})), **rows}
    for number in range(max(map(len, calls.values()))):
        sets = {name: some[number] for name, some in calls.items() if len(some) > number}
        changes += _modified(key, sets, beside, data, 30 + number)
    if _lacks_default(want, state):
        changes.append(_default(key, user, account))
    elif state.get("default_lost") and not (want.get("closed") or want.get("as_before")):
        default = str(state["default_account"])
        changes.append(_default(key, user, default, ", which slurmctld does not have"))
    changes += _cancelled(key, want, state, data)
    # What others gave, claims would not make again.
    again = {} if division.others else {"asked": _as_held(cast(Limits, want["limits"]))}
    changes += _removed(key, division.leaving, beside, {**data, **again})
    if not changes and is_lost(want, state):
        asked = _as_held(cast(Limits, want["limits"]))
        return made_again(key, state, division, asked, _added(key, want, [*rows], data))
    return changes


def _as_held(limits: Limits) -> Limits:
    """Return what an association has that has these limits and no others."""
    return {p: v for p, v in limits.items() if not (is_whole(p) or is_clear(p, v))}


def _cancelled(key: Key, want: Want, state: State, data: Mapping[str, Any]) -> list[Change]:
    """Return the change that ends a suspended user's jobs, which comes after the lock: until then
    a queued job could start, and more be submitted. More jobs than may be cancelled are left."""
    jobs, most = _jobs(want, state)
    if not 0 < jobs <= most:
        return []
    text = f"cancel {_number(jobs)} of {data['name']} in {data['account']}"
    both = {**data, "most": most}
    return [Change(key, "cancel-jobs", text, 45, f"cancel-jobs {data['account']}", both)]


def run_on(want: Want, state: State) -> tuple[str, ...]:
    """Return a remark on jobs of a suspended user that are too many to be cancelled."""
    jobs, most = _jobs(want, state)
    if jobs <= most:
        return ()
    account, user = want["account"], want["user"]
    return (
        f"{_number(jobs)} of {user} in {account} run on: more than the {most} that "
        f"`most_cancelled` allows. To end them: scancel --user={user} --account={account}",
    )


def _jobs(want: Want, state: State) -> tuple[int, int]:
    """Return how many jobs a suspended user has, and how many are cancelled at most; (0, 0) if
    jobs are left."""
    most = want.get("cancels")
    return (int(cast(int, state.get("jobs") or 0)), int(cast(int, most))) if most else (0, 0)


def _number(jobs: int) -> str:
    return "1 job" if jobs == 1 else f"{jobs} jobs"


def _lacks_default(want: Want, state: State) -> bool:
    """Return True if jobs of a user that name no account need this account as default.

    If an admin deletes a user's default association, sacctmgr 22.05.8 exits 0 and keeps the others,
    but the user has no default account, and jobs without --account are refused.
    """
    # slurmdbd sets none of a user without a record.
    if want.get("closed") or want.get("as_before") or state.get("unrecorded"):
        return False
    default = state["default_account"]
    return default != want["account"] if want.get("default") else not default


def _added(key: Key, want: Want, missing: Sequence[str], data: Mapping[str, Any]) -> Change:
    account, user = data["account"], data["name"]
    partitions = [name for name in missing if name]
    attributes = [f"partition={','.join(partitions)}"] if partitions else []
    attributes += add_words(cast(Limits, want["limits"]))
    group = f"add-user {account} " + " ".join(attributes)
    text = f"add user {user} to account {account}{words(missing, {WITHOUT: {}})}"
    return Change(key, "add-user", text, 20, group, {**data, "attributes": attributes})


def _row_steps(want: Want, name: str, division: Division, seen: Limits) -> list[list[str]]:
    """Return what to set at one of a user's associations, call by call."""
    if name in division.leaving:
        return [] if _is_locked(seen) else [set_words(USER_LOCK)]
    opened = cast(Limits, want.get("unlocked") or {})
    before = cast(Mapping[str, Limits], want.get("unlocked_in") or {}).get(name)
    if name in division.others:
        # The service opens only what a suspension closed.
        return _steps({"limits": {}, "unlocked": before or {}, "saved": True}, seen)
    if name != WITHOUT:
        opened = before or dict.fromkeys(opened, UNLIMITED)
        want = {**want, "saved": before is not None}
    return _steps({**want, "unlocked": opened}, seen)


def _is_locked(seen: Limits) -> bool:
    return all(seen.get(name) == 0 for name in USER_LOCK)


def _modified(
    key: Key, sets: Mapping[str, Sequence[str]], rows: Rows, data: Mapping[str, Any], phase: int
) -> list[Change]:
    """Return changes that set limits, one for all associations that need the same.

    sets: what each association needs, by its partition.
    """
    account, user = data["account"], data["name"]
    changes = []
    for attributes in sorted({tuple(one) for one in sets.values() if one}):
        some = [name for name, one in sets.items() if tuple(one) == attributes]
        for where, about in selections(some, rows):
            group = f"modify-user {account} {where} " + " ".join(attributes)
            text = f"{user} in {account}{words(about, rows)}: {', '.join(attributes)}"
            both = {**data, "where": where, "attributes": attributes}
            changes.append(Change(key, "modify-user", text, phase, group, both))
    return changes


def _removed(key: Key, leaving: Sequence[str], rows: Rows, data: Mapping[str, Any]) -> list[Change]:
    """Return changes that remove some of a user's associations with an account; others stay."""
    account, user = data["account"], data["name"]
    changes = []
    for where, about in selections(leaving, rows) if leaving else ():
        text = f"remove user {user} from account {account}{words(about, rows)}"
        group = f"remove-user {account} {where}"
        changes.append(Change(key, "remove-user", text, 50, group, {**data, "where": where}))
    return changes


def _plan_removal(key: Key, rows: Rows, data: Mapping[str, Any]) -> Sequence[Change]:
    """Return changes that lock a user, so that no new job starts, and then remove them."""
    account, user = str(data["account"]), str(data["name"])
    changes = []
    if not all(_is_locked(seen) for seen in rows.values()):
        sets = set_words(USER_LOCK)
        group = f"modify-user {account} " + " ".join(sets)
        both = {**data, "attributes": sets}
        text = f"lock {user} in {account}{words(rows, rows)}"
        changes.append(Change(key, "modify-user", text, 30, group, both))
    text = f"remove user {user} from account {account}{words(rows, rows)}"
    changes.append(Change(key, "remove-user", text, 50, f"remove-user {account}", data))
    return changes


def account_state(
    account: str, row: Association | None, described: tuple[str, str] | None, shared: bool = False
) -> State:
    """Return an account's state, from its row of `show assoc` and its description.

    shared: other clusters have it, too.
    """
    if row is None:
        return {"present": False, "account": account}
    description, organization = described or ("", "")
    return {
        "present": True,
        "account": account,
        "parent": row.parent,
        "description": description,
        "organization": organization,
        "limits": dict(row.limits),
        "shared": shared,
    }


def user_state(
    account: str,
    user: str,
    rows: Sequence[Association],
    default: str,
    held: Held,
    account_present: bool,
) -> State:
    """Return the state of a user's associations, from their rows of `show assoc`.

    held: what slurmctld holds of them.
    """
    state: dict[str, Any] = {
        "present": bool(rows),
        "account": account,
        "user": user,
        "account_present": account_present,
        "default_account": default,
    }
    if rows:
        state |= state_of({row.partition: dict(row.limits) for row in rows})
        state |= {"uid_failed": not {("", user), (account, user)}.isdisjoint(held.failed)}
        if default and user in held.undefaulted:
            state["default_lost"] = True
    return state


def _default(key: Key, user: str, account: str, why: str = "") -> Change:
    data = {"account": account, "name": user}
    text = f"default account of {user}: {account}{why}"
    return Change(key, "default", text, 40, f"default {account}", data)


def _attributes(want: Want, limits: Limits) -> list[str]:
    named = [
        f"{name}={want[name]}"
        for name in ("parent", "description", "organization")
        if want.get(name)
    ]
    return named + add_words(limits)


def _steps(want: Want, seen: Limits) -> list[list[str]]:
    """Return what to set, call by call.

    The service removes each limit of a lock that it has set, whatever others have set of the rest
    since. Where it is not known to have, it removes a lock only if all of the lock is there.
    """
    opened = cast(Limits, want.get("unlocked") or {})
    shut = {name: value for name, value in opened.items() if seen.get(name) == 0}
    if shut and (want.get("saved") or len(shut) == len(opened)):
        want = {**want, "limits": {**cast(Limits, want["limits"]), **unlocked(want, shut)}}
    return [set_words(some) for some in steps(want, seen)]
