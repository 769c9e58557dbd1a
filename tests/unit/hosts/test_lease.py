"""A lease covers a lane while the journal's last answer is young, and names this process."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from provisioner.contract import ConfigError
from provisioner.hosts.lease import Held, Lease
from provisioner.journal.hosts.holds import Overtaken

SECONDS = 10.0


@dataclass
class Journal:
    """What a journal says, how long it takes for that, and what time it is."""

    epochs: dict[str, int] = field(default_factory=lambda: {"slurm": 3})
    takes: float = 0.0
    time: float = 100.0
    asked: int = 0

    def ask(self) -> dict[str, int]:
        said = dict(self.epochs)
        self.time += self.takes
        self.asked += 1
        return said

    def lease(self) -> Lease:
        return Lease(self.ask, SECONDS, lambda: self.time)


def held(lease: Lease) -> Held:
    return Held("slurm", 3, lease, lambda conn, ids: None)


def test_nothing_is_covered_before_the_journal_was_asked() -> None:
    assert not Journal().lease().covers("slurm", 3)


@pytest.mark.parametrize(
    ("later", "covered"), [(0.0, True), (SECONDS - 0.1, True), (SECONDS, False), (1e6, False)]
)
def test_it_ends_with_its_seconds(later: float, covered: bool) -> None:
    journal = Journal()
    lease = journal.lease()
    lease.renew()
    journal.time += later
    assert lease.covers("slurm", 3) is covered


def test_it_counts_from_before_the_question() -> None:
    journal = Journal(takes=SECONDS)
    lease = journal.lease()
    lease.renew()
    assert not lease.covers("slurm", 3)


@pytest.mark.parametrize(("lane", "epoch"), [("slurm", 2), ("slurm", 4), ("fs1", 3)])
def test_it_covers_no_other_epoch_and_no_other_lane(lane: str, epoch: int) -> None:
    lease = Journal().lease()
    lease.renew()
    assert not lease.covers(lane, epoch)


def test_while_it_covers_a_lane_nobody_is_asked() -> None:
    journal = Journal()
    lease = journal.lease()
    lease.renew()
    held(lease).sure()
    assert journal.asked == 1


def test_who_woke_after_its_end_asks_and_goes_on_if_nobody_took_the_lane_up() -> None:
    journal = Journal()
    lease = journal.lease()
    lease.renew()
    journal.time += 2 * SECONDS
    held(lease).sure()
    assert journal.asked == 2


def test_who_woke_after_another_took_the_lane_up_may_not_write() -> None:
    journal = Journal()
    lease = journal.lease()
    lease.renew()
    journal.time += 2 * SECONDS
    journal.epochs["slurm"] = 4
    with pytest.raises(Overtaken, match="lane slurm"):
        held(lease).sure()


@dataclass
class Slow(Journal):
    """One that is slower than the lease for some questions. slow: how many are left."""

    slow: int = 0

    def ask(self) -> dict[str, int]:
        self.takes = 2 * SECONDS if self.slow else 0.0
        self.slow -= 1
        return super().ask()


def test_who_waited_long_for_an_answer_asks_again_while_nobody_took_the_lane_up() -> None:
    journal = Slow(slow=2)
    held(journal.lease()).sure()
    assert journal.asked == 3


def test_who_learns_late_that_another_one_took_the_lane_up_asks_no_more() -> None:
    journal = Slow({"slurm": 4}, slow=2)
    with pytest.raises(Overtaken, match="another host has it"):
        held(journal.lease()).sure()
    assert journal.asked == 1


def test_who_hears_always_too_late_writes_nothing_more() -> None:
    with pytest.raises(Overtaken, match="answers later than the lease allows"):
        held(Slow(slow=1000).lease()).sure()


def test_an_answer_that_comes_late_does_not_replace_a_newer_one() -> None:
    journal = Journal()

    def slow() -> dict[str, int]:
        if journal.asked:
            return journal.ask()
        before = journal.ask()
        journal.time += 1.0
        journal.epochs["slurm"] = 4
        lease.renew()  # as another thread does
        return before

    lease = Lease(slow, SECONDS, lambda: journal.time)
    lease.renew()
    assert lease.covers("slurm", 4)


def test_who_hears_nothing_of_the_journal_writes_nothing_more() -> None:
    def lost() -> dict[str, int]:
        raise ConfigError("the server was lost")

    with pytest.raises(Overtaken, match="the server was lost"):
        held(Lease(lost, SECONDS)).sure()
