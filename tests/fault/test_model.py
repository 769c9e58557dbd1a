"""A model of the whole service: whatever is dropped, killed, held, tried again or away, nothing is
lost.

Hypothesis drives a real service over a real spool and journal in one process; a kill drops the
service at once, between any two of its actions or in the middle of a write to a backend. The
invariants after every step must hold at any moment. At the end, when all is released, back and
drained, everything must have one outcome and be as it is wanted.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from provisioner.contract import Key
from provisioner.journal.records import request_rows
from provisioner.objects.states import ENDED, OPEN
from provisioner.outcome.filing import place_of
from provisioner.spool.submit import drop
from tests.support.engine_site import Killed, Site, allocation, control, user

NAMES = st.sampled_from(["ann", "bob", "cyd"])
NUMBERS = st.sampled_from([1, 2])
FILES = st.integers(3, 6)
PICK = st.integers(0, 30)


class Service(RuleBasedStateMachine):
    """One site, and what its writers were told."""

    def __init__(self) -> None:
        super().__init__()
        self._top = tempfile.TemporaryDirectory(prefix="provisioner-model.")
        self.site = Site(Path(self._top.name))
        self.sent: list[str] = []
        self.held: set[str] = set()
        self.tried: Counter[str] = Counter()
        self.wanted: dict[int, int] = {}

    def teardown(self) -> None:
        self._stop()
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
        self.site.service.clerk.catch_up()

    @rule(lane=st.sampled_from(["first", "second"]))
    def drain_one(self, lane: str) -> None:
        self._drain(lane)

    # What befalls it.

    @rule()
    def kill(self) -> None:
        self._stop()
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
            self.site.service.lanes[lane].drain()
        except Killed:
            self.kill()

    def _stop(self) -> None:
        # As the kernel does it: descriptors are closed, and nothing else is.
        self.site.spool.close()
        self.site.system.journal.close()

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
        for lane in self.site.service.lanes.values():
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


Service.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestNothingIsLost = Service.TestCase
