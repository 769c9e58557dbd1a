"""A model of the whole service: whatever is dropped, killed, held, tried again or away, nothing is
lost.

Hypothesis drives a real service over a real spool and journal in one process; a kill drops the
service at once, between any two of its actions or in the middle of a write to a backend. The
invariants after every step must hold at any moment. At the end, when all is released, back and
drained, everything must have one outcome and be as it is wanted.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from provisioner.contract import Key
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.records import request_rows
from provisioner.objects.states import ENDED, OPEN
from provisioner.outcome.outcomes import place_of
from provisioner.spool.submit import drop
from tests.support.apart_site import Apart, Near
from tests.support.engine_site import Killed, Site, allocation, control, user

WHOLE = os.environ.get("PROVISIONER_FAULT") == "whole"

NAMES = st.sampled_from(["ann", "bob", "cyd"])
NUMBERS = st.sampled_from([1, 2])
FILES = st.integers(3, 6)
PICK = st.integers(0, 30)


class Service(RuleBasedStateMachine):
    """One site, and what its writers were told."""

    made: type[Site] = Site

    def __init__(self) -> None:
        super().__init__()
        self._top = tempfile.TemporaryDirectory(prefix="provisioner-model.")
        self.site = self.made(Path(self._top.name))
        self.sent: list[str] = []
        self.held: set[str] = set()
        self.tried: Counter[str] = Counter()
        self.wanted: dict[int, int] = {}

    def teardown(self) -> None:
        self.site.die()
        self._top.cleanup()

    # What writers and operators do.

    def _drop(self, text: str) -> str:
        identity = f"r{len(self.sent)}"
        text = text.replace("provisioner: 1\n", f"provisioner: 1\nid: {identity}\n")
        drop(self.site.spool.staging, f"{identity}.yaml", text.encode())
        self.sent.append(identity)
        return identity

    @rule(number=NUMBERS, name=NAMES, files=FILES)
    def provision(self, number: int, name: str, files: int) -> None:
        self._drop(allocation(number, name, files=files))

    @rule(name=NAMES, verb=st.sampled_from(["suspend", "resume"]))
    def suspend_or_resume(self, name: str, verb: str) -> None:
        self._drop(user(name, verb))

    @rule(name=NAMES)
    def person(self, name: str) -> None:
        self._drop(user(name, uid=1000 + len(name)))

    @rule(pick=PICK, verb=st.sampled_from(["retry", "hold", "release", "cancel"]))
    def operate(self, pick: int, verb: str) -> None:
        if self.sent:
            self._drop(control(f"request.{verb}", self.sent[pick % len(self.sent)]))

    # What the service does, a piece at a time.

    @rule()
    def take(self) -> None:
        self.site.service.take()

    @rule()
    def put_in_place(self) -> None:
        self.site.catch_up()

    @rule(lane=st.sampled_from(["first", "second"]))
    def drain_one(self, lane: str) -> None:
        self._drain(lane)

    # What befalls it.

    @rule()
    def kill(self) -> None:
        self.site.die()
        self.site.start()

    @rule(writes=st.integers(0, 1))
    def die_at_a_write(self, writes: int) -> None:
        backend = self.site.first
        backend.dies_after = len(backend.calls) + writes
        self._drain("first")
        backend.dies_after = None

    @rule(away=st.booleans())
    def first_is_away(self, away: bool) -> None:
        self.site.first.away = away

    @rule(name=NAMES, poisoned=st.booleans())
    def poison(self, name: str, poisoned: bool) -> None:
        (self.site.first.poison.add if poisoned else self.site.first.poison.discard)(name)

    def _drain(self, lane: str) -> None:
        try:
            self.site.lanes[lane].drain()
        except Killed:
            self.kill()

    # What has to be true.

    @invariant()
    def every_file_is_waiting_or_one_request(self) -> None:
        waiting = {path.stem for path in self.site.spool.staging.iterdir()}
        claimed = Counter(record.writer_id for record in self._records())
        for one in self.sent:
            assert claimed[one] + (one in waiting) == 1, one

    @invariant()
    def every_file_is_in_one_place(self) -> None:
        spool = self.site.config.spool
        files = Counter(
            path.name[:26]
            for place in ("active", "deferred", "held", "done", "failed", "quarantine")
            for path in (spool / place).iterdir()
            if not path.name.endswith(".result.yaml")
        )
        for record in self._records():
            # A refused file that was tried again is another request now.
            assert files[record.id] <= 1 and (files[record.id] or record.state == "refused")

    @invariant()
    def who_has_an_outcome_keeps_it_but_for_a_retry(self) -> None:
        for record in self._records():
            if record.state in ENDED:
                continue
            assert record.ended is None

    def _records(self) -> list[request_rows.Record]:
        with self.site.system.journal.reading() as conn:
            return request_rows.in_states(conn, (*OPEN, *ENDED))

    # How it ends.

    @precondition(lambda self: len(self.sent) > 2)
    @rule()
    def all_ends_well_when_all_is_well(self) -> None:
        """Fix everything, release everything, and check."""
        self.site.first.away = False
        self.site.first.poison.clear()
        self.kill()
        self._serve()
        for record in self._records():
            if record.state == "held":
                self._drop(control("request.release", record.id))
        self._serve()
        for record in self._records():
            assert record.state in ENDED, (record.writer_id, record.state)
            place = place_of(record)
            entry = f"{record.id}-{record.name}"
            there = (self.site.config.spool / place / entry).exists()
            result = (self.site.config.spool / place / f"{entry}.result.yaml").exists()
            resubmitted = record.state == "refused" and not there
            assert (there and result) or resubmitted, (record.writer_id, record.state, place)
        before = [dict(backend.rows) for backend in (self.site.first, self.site.second)]
        self._drop("provisioner: 1\naction: reconcile\n")
        self._serve()
        for record in self._records():
            if record.action == "reconcile":
                assert record.state in ENDED
        after = [dict(backend.rows) for backend in (self.site.first, self.site.second)]
        assert before == after, "a reconcile still found something to do"
        self._claims_hold()

    def _serve(self) -> None:
        for lane in self.site.lanes.values():
            lane._breakers.until.clear()
        self.site.take()
        self.site.drain()
        self.site.take()
        self.site.drain()

    def _claims_hold(self) -> None:
        """Nothing is due, and no object is there twice."""
        with self.site.system.journal.reading() as conn:
            due = conn.exec_driver_sql("select key from objects where due is not null").fetchall()
        keys: list[Key] = [row[0] for row in due]
        assert keys == []


class OnHosts(Service):
    """The lanes on another host than the intake, which may die or freeze by itself."""

    made = Apart
    site: Apart

    def __init__(self) -> None:
        super().__init__()
        self.frozen: list[Near] = []

    def teardown(self) -> None:
        for one in (*self.frozen, self.site.near):
            one.die()
        super().teardown()

    @rule()
    def lanes_die(self) -> None:
        self.site.near.die()
        self.site.replace_lanes()

    @rule()
    def lanes_freeze(self) -> None:
        self.frozen.append(self.site.near)
        self.site.replace_lanes()

    @rule(number=NUMBERS, name=NAMES, files=FILES)
    def lanes_freeze_before_a_write(self, number: int, name: str, files: int) -> None:
        self.provision(number, name, files)
        self.take()
        near = self.site.near
        near.freeze("first", self.lanes_freeze)
        refused = self._is_refused("first")
        near.freeze("first", None)
        assert refused == (self.site.near is not near), "a host that was overtaken recorded"

    @precondition(lambda self: self.frozen)
    @rule()
    def they_go_on(self) -> None:
        before = self._done()
        one = self.frozen.pop()
        one.drain()
        one.die()
        assert self._done() == before, "a host that was overtaken wrote or recorded something"

    def _done(self) -> object:
        """Return what backends and journal have."""
        calls = [len(backend.calls) for backend in (self.site.first, self.site.second)]
        return calls, [(one.id, one.state) for one in self._records()]

    def _is_refused(self, lane: str) -> bool:
        """Drain a lane; return True if another host turns out to have it."""
        try:
            self.site.lanes[lane].drain()
        except Overtaken:
            return True
        return False

    def _drain(self, lane: str) -> None:
        try:
            self.site.lanes[lane].drain()
        except Killed:
            self.lanes_die()


def often(examples: int) -> settings:
    """Return how a model is tried."""
    return settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


Service.TestCase.settings = often(25)
TestNothingIsLost = Service.TestCase

OnHosts.TestCase.settings = often(25 if WHOLE else 4)
TestNothingIsLostOnHosts = pytest.mark.lab(OnHosts.TestCase)
