"""A slurmdbd by slurmrestd: the same questions and writes as by sacctmgr, as HTTP and JSON.

Promises: a status is no verdict. slurmrestd says 200 where it wrote nothing (an unknown account or
cluster), and 304 without a word where it wrote nothing new, so both count as sent, and the handler
reads back. A deletion always names users, and never an empty partition, which slurmrestd reads as
any. Only associations that exist are changed: for others slurmrestd makes associations of users
whom slurmdbd does not know. Leaves out: slurmctld and its jobs (`slurmctld`), one connection
(`wire`). Source: slurmrestd of 24.11.5 and 26.05.5.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from handlers.slurm.rest.doctor import check_token
from handlers.slurm.rest.reading import (
    Document,
    association,
    complaints,
    defaults,
    listed,
    qos_of,
    release,
    resource,
    text,
    unread,
)
from handlers.slurm.rest.token import end_of, shown, user_of
from handlers.slurm.rest.wire import Answer, Query, Wire
from handlers.slurm.rest.writing import Words, added, changed, made_default, read_words
from handlers.slurm.rows import WITHOUT, chosen
from handlers.slurm.settings import PARSERS
from handlers.slurm.slurmdbd import FILTER, ROOT, Association, Look, Named, check_whole
from provisioner.contract import ConfigError, Finding, Level, Permanent, Transient, Unavailable

SENT: Final = 200
"""Associations in one POST: slurmrestd reads and writes them one after the other."""

_OWN: Final = {"Exclude limits from parents": "true", "Include the raw QOS or delta_qos": "true"}
_NO_ACCESS: Final = 7011
"""ESLURM_NO_REMOVE_DEFAULT_QOS: an association could not use its default QOS."""

_NO_SLURMDBD: Final = 7000
"""ESLURM_DB_CONNECTION: slurmdbd is away, or refuses the token."""


class Slurmrestd:
    """One cluster of a slurmdbd. parser: the data parser to use; '' for the newest of both."""

    def __init__(self, wire: Wire, cluster: str, parser: str = "") -> None:
        self._wire = wire
        self._cluster = cluster
        self._set = parser
        self._found = ""
        self._lock = threading.Lock()

    @property
    def cluster(self) -> str:
        return self._cluster

    # Reading.

    def look(
        self, accounts: Collection[str], users: Collection[str], described: Collection[str]
    ) -> Look:
        """Return what there is of accounts and users: see `Slurmdbd.look`."""
        if described:
            rows, shared = self._everywhere(accounts)
        else:
            rows, shared = self.associations(accounts), set[str]()
        texts = self.accounts(described) if described else {}
        return Look(rows, shared, self.users(users) if users else Named(), texts)

    def associations(self, accounts: Collection[str]) -> list[Association]:
        """Return the associations of accounts; without any account, of the whole cluster."""
        rows = [association(row) for row in self._associations(self._among(accounts))]
        check_whole({row.account for row in rows}, self._cluster)
        asked = frozenset(accounts)
        return [row for row in rows if not asked or row.account in asked]

    def _everywhere(self, accounts: Collection[str]) -> tuple[list[Association], set[str]]:
        """Return the associations of accounts, and which of these accounts other clusters also
        have."""
        query = {name: v for name, v in self._among(accounts).items() if name != "cluster"}
        rows = [(text(row, "cluster"), association(row)) for row in self._associations(query)]
        own = [row for cluster, row in rows if cluster == self._cluster]
        check_whole({row.account for row in own}, self._cluster)
        others = {row.account for cluster, row in rows if cluster != self._cluster}
        asked = frozenset(accounts)
        return [row for row in own if row.account in asked], others & asked

    def associations_of(self, users: Collection[str]) -> list[tuple[str, Association]]:
        """Return all associations of users, on every cluster."""
        rows = self._associations({"user": ",".join(sorted(users))}) if users else []
        return [(text(row, "cluster"), association(row)) for row in rows]

    def users(self, users: Collection[str]) -> Named:
        """Return users' default accounts on the cluster, and the partitions of their associations
        by account and user."""
        some = {"user": ",".join(sorted(users))} if 0 < len(users) <= FILTER else {}
        rows = self._associations({"cluster": self._cluster, **some})
        partitions: dict[tuple[str, str], set[str]] = {}
        # slurmrestd also shows defaults and associations of a user without a record.
        lost = self.unrecorded({text(row, "user") for row in rows} - {""})
        for row in map(association, rows):
            if row.user and row.user not in lost:
                partitions.setdefault((row.account, row.user), set()).add(row.partition)
        return Named(defaults(rows), partitions)

    def privileged(self, users: Collection[str]) -> set[str]:
        """Return the users who are administrators or operators, or coordinate an account. Raises
        Unavailable if slurmrestd does not know one of the users."""
        some = set()
        for name in sorted(users):
            rows = listed(self._get(f"user/{name}", {"with_coords": "true"}), "users")
            if [row.get("name") for row in rows] != [name]:
                raise unread(f"it shows no rights of {name}")
            if rows[0].get("administrator_level") != ["None"] or rows[0].get("coordinators"):
                some.add(name)
        return some

    def unrecorded(self, users: Collection[str]) -> set[str]:
        """Return which users slurmdbd has no record of; nobody if its list cannot be whole."""
        if not users:  # the list has everybody, however few are looked at
            return set()
        recorded = {text(row, "name") for row in listed(self._get("users", {}), "users")}
        return set(users) - recorded if ROOT in recorded else set()

    def accounts(self, names: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return accounts' descriptions and organizations."""
        rows = listed(self._get("accounts", {}), "accounts")
        found = {text(row, "name"): row for row in rows}
        return {
            name: (text(row, "description"), text(row, "organization"))
            for name, row in found.items()
            if not names or name in names
        }

    def qos(self) -> list[str]:
        """Return the QOS of the slurmdbd, which all its clusters share."""
        return [text(row, "name") for row in listed(self._get("qos", {}), "qos")]

    def usable_qos(self, accounts: Collection[str]) -> dict[tuple[str, str], list[str]]:
        """Return the QOS that accounts and their users may use, including inherited ones."""
        query = {"cluster": self._cluster, "account": ",".join(sorted(accounts))}
        rows = listed(self._get("associations", query), "associations")
        return {(text(row, "account"), text(row, "user")): qos_of(row) for row in rows}

    def tres(self) -> list[str]:
        """Return the resources that the slurmdbd can count, as in `gres/gpu:a100`."""
        return [resource(row) for row in listed(self._get("tres", {}), "TRES")]

    def clusters(self) -> list[str]:
        """Return the clusters of the slurmdbd."""
        return [text(row, "name") for row in listed(self._get("clusters", {}), "clusters")]

    def version(self) -> str:
        """Return slurmrestd's version, which is slurmdbd's at most; '' if it does not say."""
        return release(self._get("ping", {}))

    def parser(self) -> str:
        """Return the data parser that is used. Raises Unavailable if there is none in common."""
        with self._lock:
            if not self._found:
                self._found = self._negotiated()
            return self._found

    def findings(self) -> list[Finding]:
        """Return what `doctor` says of slurmrestd and the token. Raises Unavailable."""
        said = f"answers at {self._wire.address}: {self.version()}, data parser {self.parser()}"
        return [Finding(Level.OK, "slurmrestd", said), *check_token(self._wire.token, time.time())]

    # Writing.

    def prepare(
        self, accounts: Collection[str], users: Collection[str], described: Collection[str]
    ) -> None:
        """Do nothing: slurmrestd runs."""

    def add_accounts(self, names: Sequence[str], attributes: Sequence[str]) -> None:
        words = read_words(attributes)
        condition = self._condition(words) | {"accounts": list(names)}
        texts = {name: value for name, value in words.texts.items() if name != "parent"}
        self.write("POST", "accounts_association", {},
                   {"association_condition": condition, "account": texts})  # fmt: skip

    def modify_accounts(self, names: Sequence[str], attributes: Sequence[str]) -> None:
        words = read_words(attributes)
        texts = {name: value for name, value in words.texts.items() if name != "parent"}
        if texts:
            # slurmrestd empties a text that is left out.
            kept = self.accounts(names)
            rows = [
                {"name": n, "description": kept[n][0], "organization": kept[n][1], **texts}
                for n in names
                if n in kept
            ]
            self.write("POST", "accounts", {}, {"accounts": rows})
        if words.limits or "parent" in words.texts:
            rows_of = [row for row in self.associations(names) if not row.user]
            self._post([changed(self._cluster, row, words) for row in rows_of])

    def add_users(self, account: str, names: Sequence[str], attributes: Sequence[str]) -> None:
        words = read_words(attributes)
        condition = self._condition(words) | {"accounts": [account], "users": list(names)}
        if words.partitions:
            condition["partitions"] = list(words.partitions)
        self.write("POST", "users_association", {},
                   {"association_condition": condition, "user": {}})  # fmt: skip

    def modify_users(
        self,
        account: str,
        names: Sequence[str],
        selection: Sequence[str],
        attributes: Sequence[str],
    ) -> None:
        words, some = read_words(attributes), chosen(selection)
        rows = [
            row for row in self._of(account, names) if some is None or row.partition in some
        ]  # fmt: skip
        self._post([changed(self._cluster, row, words) for row in rows])

    def set_default(self, account: str, names: Sequence[str]) -> None:
        self._post([made_default(self._cluster, row) for row in self._of(account, names)])

    def delete_users(self, account: str, names: Sequence[str], selection: Sequence[str]) -> None:
        if not account or not names:
            return
        some = chosen(selection)
        query = {"cluster": self._cluster, "account": account, "user": ",".join(names)}
        if some is not None:
            if WITHOUT in some:
                where = f"name={names[0]} account={account} cluster={self._cluster}"
                raise Transient(
                    "slurmrestd cannot delete the association without a partition, and leave those "
                    f"with one, of {', '.join(names[:3])} in {account}",
                    advice=f"type it: sacctmgr delete user where {where} partition='\"\"'",
                )
            query["partition"] = ",".join(sorted(some))
        self.write("DELETE", "associations", query)

    def write(self, method: str, what: str, query: Query, body: object = None) -> None:
        """Write. Raises Unknown if no answer came, Transient or Permanent if slurmrestd says that
        it failed, Unavailable if it does not take who asks."""
        answer = self._ask(method, what, query, body)
        if answer.status in (200, 304) and not complaints(answer.document) and not answer.raw:
            return
        said = f"slurmrestd {method} {what}: {_words(answer)}"
        if any(number == _NO_ACCESS for number, _ in complaints(answer.document)):
            raise Permanent(
                said, advice="add the default QOS to the QOS, or remove it from the request"
            )
        raise Transient(said, advice="compare with the same change by sacctmgr, as an admin")

    # The rest.

    def _of(self, account: str, names: Sequence[str]) -> list[Association]:
        wanted = frozenset(names)
        return [row for row in self.associations([account]) if row.user in wanted]

    def _post(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(bodies), SENT):
            some = bodies[start : start + SENT]
            self.write("POST", "associations", {}, {"associations": some})

    def _condition(self, words: Words) -> dict[str, Any]:
        limits = added(words)
        return {"clusters": [self._cluster], **({"association": limits} if limits else {})}

    def _among(self, accounts: Collection[str]) -> dict[str, str]:
        """Return the query for accounts, and for the one by which the answer is whole."""
        own = {"cluster": self._cluster}
        if not 0 < len(accounts) <= FILTER:
            return own
        return own | {"account": ",".join(sorted({*accounts, ROOT}))}

    def _associations(self, query: Query) -> list[Document]:
        return listed(self._get("associations", {**query, **_OWN}), "associations")

    def _get(self, what: str, query: Query) -> Document:
        answer = self._ask("GET", what, query)
        if answer.status != 200 or answer.document is None or complaints(answer.document):
            raise unread(f"GET {what}: {_words(answer)}")
        return answer.document

    def _ask(self, method: str, what: str, query: Query, body: object = None) -> Answer:
        path = f"/slurmdb/{self.parser()}/{what}{'' if '/' in what else '/'}"
        answer = self._wire.ask(method, path, query, body)
        self._check_taken(answer)
        if answer.status == 404:
            # An upgrade may have dropped the parser.
            self._found = ""
            raise unread(f"{method} {path}: {_words(answer)}")
        return answer

    def _check_taken(self, answer: Answer) -> None:
        """Raise Unavailable if slurmrestd, or slurmdbd behind it, took no question at all."""
        at = f"slurmrestd at {self._wire.address}"
        if answer.status in (401, 403):
            why = f"{at} refuses the service: {_words(answer)}"
        elif any(number == _NO_SLURMDBD for number, _ in complaints(answer.document)):
            why = f"{at} does not reach slurmdbd: {_words(answer)}"
        else:
            return
        end, user = self._token()
        renew = (
            "make a new token, as root or SlurmUser on slurmctld's host: scontrol token "
            f"username={user or self._wire.user or 'NAME'} lifespan=2592000, and write it into the "
            "file of the secret"
        )
        if end is not None and end <= time.time():
            raise Unavailable(f"the token ended on {shown(end)}: {why}", advice=renew)
        raise Unavailable(
            why,
            advice="on slurmdbd's host: systemctl status slurmdbd; if it is up, " + renew
            if self._wire.token is not None
            else "on slurmdbd's host: systemctl status slurmdbd; if it is up, run slurmrestd with "
            "rest_auth/local as the service's own user, or set `token`",
        )

    def _token(self) -> tuple[float | None, str]:
        """Return when the token ends, and whom it is for, as far as it says."""
        try:
            text = self._wire.token() if self._wire.token is not None else ""
        except ConfigError:
            return None, ""
        return end_of(text), user_of(text)

    def _negotiated(self) -> str:
        for parser in (self._set,) if self._set else PARSERS:
            answer = self._wire.ask("GET", f"/slurmdb/{parser}/ping/", {})
            self._check_taken(answer)
            if answer.status != 404:
                return parser
        raise Unavailable(
            f"slurmrestd at {self._wire.address} has no data parser {self._set or PARSERS[-1]}"
            + ("" if self._set else " or newer"),
            advice="set `parser` to one that `slurmrestd -d list` shows, or leave it out"
            if self._set
            else "slurmrestd of Slurm 24.11 or later is needed; or use `transport: sacctmgr`",
        )


def _words(answer: Answer) -> str:
    """Return what slurmrestd said, for a person."""
    told = "; ".join(words for _, words in complaints(answer.document)) or answer.raw
    return f"{told[:500] or 'no words'} (status {answer.status})"
