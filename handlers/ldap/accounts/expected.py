"""What must be true of an account that the campus makes before the service uses it. Pure.

Promises: the service waits for what may still come, and reports what is wrong in the directory with
who can fix it. Two accounts with one number are a Conflict: each could read and change the other's
files. So is a number that was another account's, until a request names it. Leaves out: reading
accounts (`lookup`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from handlers.ldap.fields import differences, in_words
from handlers.ldap.numbers.ids import Ids
from handlers.ldap.numbers.kept import of_same_person, recalled
from provisioner.contract import Change, Conflict, Json, Key, NotReady, Permanent, State, Want

_SETTINGS = {"uid": "ids", "gid": "gids"}
"""For each field, the setting that says which numbers are allowed."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a site expects of accounts.

    base: DN below which they are looked up; requires: fields that they must have; ranges: the
    allowed numbers, by field.
    """

    base: str
    requires: Sequence[str]
    ranges: Mapping[str, Ids]

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Plan nothing. Raises NotReady, Conflict or Permanent if the account is not as
        expected."""
        if want["wanted"] != "open":
            return []
        if not state["present"]:
            raise NotReady(
                f"{key}: no such account below {self.base}",
                advice="the campus must make the account; if it has, check `base`, and that the "
                "service's account may read it",
            )
        recalled(key, of_same_person(want), state)
        wrong = differences(want, state, ("uid", "gid", "sid"))
        if wrong:
            raise Conflict(
                f"{key}: Active Directory disagrees with the request: "
                f"{in_words({name: state[name] for name in wrong}, want)}",  # type: ignore[misc]
                advice="leave the numbers out of the request, or fix them in the directory",
            )
        self._waits(key, state)
        self._allowed(key, state)
        _passed_on(key, want, state)
        return []

    def _waits(self, key: Key, state: State) -> None:
        missing = [field for field in self.requires if state[field] is None]
        if missing:
            raise NotReady(
                f"{key}: the account has no {' and no '.join(missing)} yet",
                advice="the campus must set it; if hosts map SIDs to ids, take it out of "
                "`requires`, and use an `nss_gate` to see what resolves",
            )

    def _allowed(self, key: Key, state: State) -> None:
        for field, allowed in self.ranges.items():
            number = state[field]
            if isinstance(number, int) and not allowed.first <= number <= allowed.last:
                raise Permanent(
                    f"{key}: Active Directory says {field} {number}, which is not allowed here",
                    advice=f"fix it in the directory, or widen `{_SETTINGS[field]}`",
                )
        alike = state.get("namesakes")
        if isinstance(alike, list) and alike:
            raise Conflict(
                f"{key}: {', '.join(map(str, alike[:5]))} also has uid {state['uid']}: they would "
                "own each other's files",
                advice="give one of them another uidNumber in the directory",
            )


def _passed_on(key: Key, want: Want, state: State) -> None:
    """Raise Conflict if the account's number was another's, and no request has named it."""
    former, uid = state.get("former"), state["uid"]
    was = cast(Mapping[str, Json], want.get("was") or {})
    if not isinstance(former, list) or uid in (want.get("uid"), was.get("uid")):
        return
    names = ", ".join(map(str, former[:5]))
    raise Conflict(
        f"{key}: uid {uid} was {names}'s here: the home and the files of that account would be "
        "this one's",
        advice=f"if both are one person, who has another name now, send the request with `uid: "
        f"{uid}`; if not, give the account another uidNumber in the directory",
    )
