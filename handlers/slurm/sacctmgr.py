"""A slurmdbd by sacctmgr: its argument lists, and what it prints.

Promises: list calls, always with `cluster=`; the questions of one look are asked at the same time,
and writes one after the other. Leaves out: how long a list may be (`writes`), and what should exist
(`handler`). Source: sacctmgr(1).
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from handlers.slurm.lately import Lately
from handlers.slurm.limits.limits import COLUMNS, OWN, printed
from handlers.slurm.programs import Programs
from handlers.slurm.readers import Readers
from handlers.slurm.slurmdbd import FILTER, ROOT, Association, Look, Named, check_whole
from handlers.slurm.spare import Spare
from handlers.slurm.together import together
from provisioner.contract import Fault, Finding, Unavailable

_ASSOC = ("Account", "User", "Partition", "ParentName", *COLUMNS)
_LATER = 0.015
"""Seconds for which getting ready leaves the processors to the step that comes first: it has begun
by then, and waits for its backend."""

_VERSION = re.compile(r"^SLURMDBD_VERSION\s*=\s*(\S+)", re.MULTILINE)


Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Question:
    """One `show`: of what, which of them, and which columns."""

    what: str
    where: Sequence[str]
    columns: Sequence[str]

    def words(self) -> list[str]:
        """Return it as sacctmgr takes it."""
        return ["show", self.what, *self.where, f"format={','.join(self.columns)}"]

    def rows(self, text: str) -> Rows:
        """Return the rows of its answer. Raises Unavailable if that was cut off."""
        if text and not text.endswith("\n"):
            advice = "run it by hand as the service's user; look at what the words before it do"
            shown = " ".join(self.words())[:150]
            raise Unavailable(f"sacctmgr {shown}: its output was cut off", advice=advice)
        rows = [line.split("|") for line in text.splitlines() if "|" in line or line.strip()]
        return [row + [""] * (len(self.columns) - len(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class Sacctmgr:
    """One cluster of a slurmdbd. words: the program, with any prefix; readers: of it, if it is kept
    running for looks; spare: of it, if one is started before a user is added."""

    programs: Programs
    cluster: str
    words: Sequence[str] = ("sacctmgr",)
    readers: Readers | None = None
    spare: Spare | None = None
    lately: Lately[Rows] = field(default_factory=Lately)

    # Reading.

    def look(
        self, accounts: Collection[str], users: Collection[str], described: Collection[str]
    ) -> Look:
        """Return what accounts, users and descriptions there are: see `Slurmdbd.look`."""
        questions = self._questions(accounts, users, described)
        of = functools.partial(self._seen, accounts, users, described)
        # Whoever is there is looked at anew: what they have now is kept, if it is to be changed.
        before = self.lately.take(questions)
        if before is not None:
            seen = of(before)
            if not any(row.user for row in seen.rows):
                return seen
        if len(users) <= FILTER:
            return of(self._looked(questions))
        return of(self._kept(questions))

    def prepare(
        self, accounts: Collection[str], users: Collection[str], described: Collection[str]
    ) -> None:
        """Look beforehand, and start what a user can be added by: see `Slurmdbd.prepare`."""
        questions = self._questions(accounts, users, described)
        self.lately.expect(questions)
        try:
            threading.Thread(target=self._prepare, args=[questions], daemon=True).start()
        except RuntimeError:  # a host without a thread left
            self.lately.arrived(questions)

    def _prepare(self, questions: Sequence[Question]) -> None:
        try:
            self.lately.unhurried(_LATER)
            with contextlib.suppress(OSError, RuntimeError):
                if self.spare is not None:
                    self.spare.prepare()
            with contextlib.suppress(Fault, RuntimeError):
                self._kept(questions)
        finally:
            self.lately.arrived(questions)

    def _kept(self, questions: Sequence[Question]) -> Sequence[Rows]:
        """Return the rows of each answer, which may serve the next look. Raises Unavailable."""
        began, answers = time.monotonic(), self._looked(questions)
        self.lately.keep(questions, answers, began)
        return answers

    def _questions(
        self, accounts: Collection[str], users: Collection[str], described: Collection[str]
    ) -> list[Question]:
        associations = self._of_accounts(accounts, everywhere=bool(described))
        more = [self._of_users(users)] if users else []
        more += [self._of_texts(described)] if described else []
        return [associations, *more]

    def _seen(
        self,
        accounts: Collection[str],
        users: Collection[str],
        described: Collection[str],
        answers: Sequence[Rows],
    ) -> Look:
        rows, *others = answers
        named = _named(others.pop(0)) if users else Named()
        # An account may have thousands of others, whose limits would be read for nothing.
        at = _ASSOC.index("User") + bool(described)
        some = [row for row in rows if not row[at] or row[at] in users]
        own, shared = self._own_of(some, accounts, everywhere=bool(described))
        return Look(own, shared, named, _texts(others[0]) if described else {})

    def associations(self, accounts: Collection[str]) -> list[Association]:
        """Return the associations of accounts; without any account, of the whole cluster."""
        [rows] = self._ask([self._of_accounts(accounts, everywhere=False)])
        return self._own_of(rows, accounts, everywhere=False)[0]

    def _of_accounts(self, accounts: Collection[str], *, everywhere: bool) -> Question:
        if everywhere:
            return Question("assoc", [*OWN, *_among(accounts)], ("Cluster", *_ASSOC))
        return Question("assoc", [*OWN, self._own, *_among(accounts)], _ASSOC)

    def _own_of(
        self, rows: Rows, accounts: Collection[str], *, everywhere: bool
    ) -> tuple[list[Association], set[str]]:
        """Return the associations of accounts, and which of these accounts other clusters have."""
        own = [row[1:] for row in rows if row[0] == self.cluster] if everywhere else rows
        check_whole({row[0] for row in own}, self.cluster)
        asked = frozenset(accounts)
        here = [self._association(row) for row in own if not asked or row[0] in asked]
        others = {row[1] for row in rows if row[0] != self.cluster} if everywhere else set()
        return here, others & asked

    def associations_of(self, users: Collection[str]) -> list[tuple[str, Association]]:
        """Return all associations of users, on every cluster."""
        where = [*OWN, f"user={','.join(sorted(users))}"]
        rows = self.show("assoc", where, ("Cluster", *_ASSOC))
        return [(row[0], self._association(row[1:])) for row in rows]

    @staticmethod
    def _association(row: Sequence[str]) -> Association:
        account, user, partition, parent, *limits = row
        return Association(account, user, parent, printed(limits), partition)

    def users(self, users: Collection[str]) -> Named:
        """Return what `show user withassoc` says of users."""
        [rows] = self._ask([self._of_users(users)])
        return _named(rows)

    def _of_users(self, users: Collection[str]) -> Question:
        where = ["withassoc", "where", self._own]
        if 0 < len(users) <= FILTER:
            where.append(f"name={','.join(sorted(users))}")
        return Question("user", where, ("User", "DefaultAccount", "Account", "Partition"))

    def privileged(self, users: Collection[str]) -> set[str]:
        """Return the users who are administrators or operators, or coordinate an account. Raises
        Unavailable if the list lacks one of the users."""
        if not users:
            return set()
        where = ["withcoord", "where", f"name={','.join(sorted(users))}"]
        rows = self.show("user", where, ("User", "AdminLevel", "Coordinators"))
        lacking = sorted(set(users) - {row[0] for row in rows})
        if lacking:
            raise Unavailable(
                f"sacctmgr shows no rights of {', '.join(lacking[:3])}",
                advice="compare `sacctmgr show user NAME withcoord` with `sacctmgr show user NAME`",
            )
        return {name for name, level, of, *_ in rows if level not in ("", "None") or of}

    def unrecorded(self, users: Collection[str]) -> set[str]:
        """Return which users slurmdbd has no record of; nobody if its list cannot be whole."""
        named = f"name={','.join(sorted({*users, ROOT}))}"
        where = ["where", named] if len(users) <= FILTER else []
        recorded = {row[0] for row in self.show("user", where, ("User",))}
        return set(users) - recorded if ROOT in recorded else set()

    def accounts(self, names: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return accounts' descriptions and organizations."""
        [rows] = self._ask([self._of_texts(names)])
        return _texts(rows)

    @staticmethod
    def _of_texts(names: Collection[str]) -> Question:
        where = ["where", f"name={','.join(sorted(names))}"] if 0 < len(names) <= FILTER else []
        return Question("account", where, ("Account", "Description", "Organization"))

    def qos(self) -> list[str]:
        """Return the QOS of the slurmdbd, which all its clusters share."""
        return [row[0] for row in self.show("qos", [], ("Name",))]

    def usable_qos(self, accounts: Collection[str]) -> dict[tuple[str, str], list[str]]:
        """Return the QOS that accounts and their users may use, including inherited ones."""
        where = [f"cluster={self.cluster}", f"account={','.join(sorted(accounts))}"]
        rows = self.show("assoc", where, ("Account", "User", "QOS"))
        return {(account, user): qos.split(",") for account, user, qos, *_ in rows}

    def tres(self) -> list[str]:
        """Return the resources that the slurmdbd can count, as in `gres/gpu:a100`."""
        rows = self.show("tres", [], ("Type", "Name"))
        return ["/".join(part for part in row[:2] if part) for row in rows]

    def clusters(self) -> list[str]:
        """Return the clusters of the slurmdbd."""
        return [row[0] for row in self.show("cluster", [], ("Cluster",))]

    def version(self) -> str:
        """Return slurmdbd's version, `24.11.5`; '' if it does not say."""
        found = _VERSION.search(self.programs.ask([*self.words, "show", "config"], "slurmdbd"))
        return found[1] if found else ""

    def findings(self) -> Sequence[Finding]:
        """Return nothing: that it answers says all."""
        return ()

    # Writing.

    def add_accounts(self, names: Sequence[str], attributes: Sequence[str]) -> None:
        self.write(["add", "account", ",".join(names), self._own, *attributes])

    def modify_accounts(self, names: Sequence[str], attributes: Sequence[str]) -> None:
        where = ["where", f"name={','.join(names)}", self._own]
        self.write(["modify", "account", *where, "set", *attributes])

    def add_users(self, account: str, names: Sequence[str], attributes: Sequence[str]) -> None:
        words = ["add", "user", ",".join(names), self._own, f"account={account}", *attributes]
        # Whatever failed may be done again: who is there is not added a second time.
        done = self.spare.run(words, self.programs.timeout) if self.spare is not None else None
        if done is None or (done.returncode and not done.timed_out):
            self.write(words)
            return
        self.lately.wrote()
        self.programs.check(done)

    def modify_users(
        self,
        account: str,
        names: Sequence[str],
        selection: Sequence[str],
        attributes: Sequence[str],
    ) -> None:
        where = ["where", f"name={','.join(names)}", self._own, f"account={account}", *selection]
        self.write(["modify", "user", *where, "set", *attributes])

    def set_default(self, account: str, names: Sequence[str]) -> None:
        where = ["where", f"name={','.join(names)}", self._own]
        self.write(["modify", "user", *where, "set", f"defaultaccount={account}"])

    def delete_users(self, account: str, names: Sequence[str], selection: Sequence[str]) -> None:
        where = [f"name={','.join(names)}", self._own, f"account={account}", *selection]
        self.write(["delete", "user", "where", *where])

    def write(self, words: Iterable[str]) -> None:
        """Run one immediate command."""
        try:
            self.programs.act([*self.words, "-i", *words])
        finally:
            self.lately.wrote()

    @property
    def _own(self) -> str:
        return f"cluster={self.cluster}"

    def show(self, what: str, where: Sequence[str], columns: Sequence[str]) -> Rows:
        """Return the rows of `sacctmgr show`. Raises Unavailable."""
        [rows] = self._ask([Question(what, where, columns)])
        return rows

    def _looked(self, questions: Sequence[Question]) -> list[Rows]:
        """Return the rows of each answer, by sessions if they surely answer. Raises Unavailable."""
        asked = [" ".join(question.words()) for question in questions]
        texts = self.readers.ask(asked) if self.readers is not None else None
        if texts is None:
            return self._ask(questions)
        return [question.rows(text) for question, text in zip(questions, texts, strict=True)]

    def _ask(self, questions: Sequence[Question]) -> list[Rows]:
        """Return the rows of each answer. Raises Unavailable."""
        return together([functools.partial(self._rows, question) for question in questions])

    def _rows(self, question: Question) -> Rows:
        argv = [*self.words, "-nP", *question.words()]
        return question.rows(self.programs.ask(argv, "slurmdbd"))


def _named(rows: Rows) -> Named:
    """Return what rows of `show user withassoc` say."""
    partitions: dict[tuple[str, str], set[str]] = {}
    for user, _, account, partition, *_ in rows:
        if account:
            partitions.setdefault((account, user), set()).add(partition)
    return Named({user: default for user, default, *_ in rows if default}, partitions)


def _texts(rows: Rows) -> dict[str, tuple[str, str]]:
    return {name: (description, organization) for name, description, organization, *_ in rows}


def _among(accounts: Collection[str]) -> list[str]:
    """Return the words that ask for accounts, and for the one by which the answer is whole."""
    named = ",".join(sorted({*accounts, ROOT}))
    return [f"account={named}"] if 0 < len(accounts) <= FILTER else []
