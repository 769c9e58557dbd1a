"""Accounts that the campus makes: the handler looks them up, and never writes them.

Promises: an account is not ready until the campus has made it. Leaves out: what a site expects of
it (`expected`), and accounts that we make (`handler`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from handlers.ldap.accounts.claims import Claims
from handlers.ldap.accounts.dialect import Dialect
from handlers.ldap.accounts.entries import Entries
from handlers.ldap.accounts.expected import Expected
from handlers.ldap.accounts.handler import OUTPUTS
from handlers.ldap.accounts.logons import last_logons
from handlers.ldap.accounts.settings import AccountSettings
from handlers.ldap.accounts.standing import shut_out
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.doctor import check_directory
from handlers.ldap.fields import merge_claims
from handlers.ldap.numbers.kept import identity, numbers
from provisioner.contract import (
    Bearers,
    Change,
    Claim,
    Fault,
    Finding,
    Key,
    Permanent,
    Scalar,
    Site,
    State,
    Uses,
    Want,
    adapted,
    split_key,
)


class LookedUp:
    """Keys `INSTANCE/account/NAME`."""

    def __init__(
        self,
        site: Site,
        settings: AccountSettings,
        directory: Directory,
        dialect: Dialect,
        requires: Sequence[str],
    ) -> None:
        self.lane = settings.lane_name
        self._site = site
        self._directory = directory
        self._dialect = dialect
        self._claims = Claims(site, settings, dialect)
        self._entries = Entries(site, directory, dialect, settings.attributes)
        ranges = {"uid": settings.ids, "gid": settings.gids}
        self._expected = Expected(settings.base, requires, ranges)
        self._bearers: Bearers = lambda *_: {}

    # Pure.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Return the claim on one account. Raises InvalidRequest."""
        return self._claims.claimed(params)

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Return a remark for each text that the directory holds in another form."""
        return adapted(self._dialect.params, params)

    def heed(self, bearers: Bearers) -> None:
        """Ask the ledger whose a number was."""
        self._bearers = bearers

    def allotted(self) -> Mapping[str, range]:
        """Return nothing: the campus gives the numbers."""
        return {}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Merge claims."""
        return merge_claims(claims, prior)

    def prior(self, key: Key, state: State) -> State | None:
        """Return None: this handler closes nothing."""
        return None

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Plan nothing. Raises NotReady, Conflict or Permanent if the account is not as
        expected."""
        return self._expected.plan(key, want, state)

    def identity(self, want: Want, state: State) -> Mapping[str, Scalar]:
        """Return the account's numbers and SID, which homes and files depend on."""
        return identity(state)

    def numbers(self, key: Key, state: State) -> Mapping[str, int]:
        """Return the account's uid, and its gid if no other object has it."""
        return numbers(key, state)

    def remarks(self, key: Key, want: Want, state: State) -> Sequence[str]:
        """Return why a user who is served cannot log in: the campus has closed their account."""
        return shut_out(state, enables=False) if want["wanted"] == "open" else ()

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        """Return the account's ids for later steps."""
        return {name: state[name] for name in OUTPUTS}  # type: ignore[misc]

    # Reading.

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Return the state of accounts, read by name, with other accounts that have their numbers,
        or had them by the ledger."""
        states = self._entries.observe(keys)
        present = {
            key: state
            for key, state in states.items()
            if not isinstance(state, Fault) and state["present"]
        }
        alike, former = self._namesakes(present), self._former(present)
        more = {
            key: {
                **({"namesakes": alike[key]} if key in alike else {}),
                **({"former": former[key]} if key in former else {}),
            }
            for key in alike.keys() | former.keys()
        }
        return states | {key: {**present[key], **more[key]} for key in more}

    def _former(self, states: Mapping[Key, State]) -> Mapping[Key, list[str]]:
        """Return for each account the others that had its uid here, if there are any."""
        uids = {key: uid for key, state in states.items() if isinstance(uid := state["uid"], int)}
        if not uids:
            return {}
        known = self._bearers("uid", min(uids.values()), max(uids.values()))
        former = {
            key: sorted(set(map(_account, known.get(uid, ()))) - {_account(key), ""})
            for key, uid in uids.items()
        }
        return {key: names for key, names in former.items() if names}

    def _namesakes(self, states: Mapping[Key, State]) -> Mapping[Key, list[str]]:
        """Return for each account the others that have its uidNumber, if there are any."""
        numbers = {str(state["uid"]) for state in states.values() if state["uid"] is not None}
        if not numbers:
            return {}
        schema = self._dialect.schema
        entries = self._directory.find(
            "uidNumber", numbers, [schema.name, "uidNumber"], within=schema.filter
        )
        bearers: dict[int | None, set[str]] = {}
        for entry in entries:
            name = (entry.text(schema.name) or "").lower()
            bearers.setdefault(entry.number("uidNumber"), set()).add(name)
        others = {
            key: bearers.get(state["uid"], set()) - {str(state["name"])}  # type: ignore[arg-type]
            for key, state in states.items()
        }
        return {key: sorted(names) for key, names in others.items() if names}

    def last_used(self, since: float, now: float) -> Uses:
        """Return when people last logged on; the directory forgets none of it."""
        return last_logons(self._directory, self._dialect.schema)

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """Return nothing: none of these accounts is ours."""
        return ()

    def check(self) -> Sequence[Finding]:
        """Check servers and bind."""
        return check_directory(self._directory, self._site.instance, {})

    # Writing.

    def apply(self, changes: Sequence[Change]) -> None:
        """Refuse to write. Raises Permanent."""
        raise Permanent(
            f"{changes[0].key}: this handler only looks up accounts and never writes them"
        )


def _account(key: Key) -> str:
    """Return the name of an account; '' for another kind of object."""
    _, kind, *names = split_key(key)
    return names[0] if kind == "account" else ""
