"""The house: what one process does for a whole journal, whoever takes files and drains lanes.

Promises: manifests are followed, and what comes due by itself is accepted: scheduled requests, and
ends of access. The journal is copied, people are told, and drift, full quotas and idle people are
looked for, each in a thread. After a jump of the clock, waits are corrected. Leaves out: which
process has it (`keeping`, where there are several), and files of requests (`service`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

from provisioner.admission.acceptance import Terms
from provisioner.admission.after_commit import Admitted, AfterCommit
from provisioner.admission.duplicates import Company
from provisioner.admission.enclosures import Enclosures
from provisioner.admission.intake import Intake
from provisioner.admission.reading import Reader
from provisioner.admission.signature import Signatures
from provisioner.convergence.threads import Background
from provisioner.idle.rounds import Rounds
from provisioner.inspection import failures
from provisioner.inspection.daily_report import Reporter
from provisioner.manifests.following import Follower
from provisioner.manifests.portions import Portions
from provisioner.notify.courier import Courier
from provisioner.outcome.outsiders import Refusals
from provisioner.policy.review import Review
from provisioner.policy.writers import Writers
from provisioner.quotas.watch import Watch
from provisioner.recovery import startup
from provisioner.recovery.backup import Copier
from provisioner.recovery.clock import Clock, Sight, look
from provisioner.spool.spool import Spool
from provisioner.spool.strikes import Strikes
from provisioner.steps import placement
from provisioner.system.ulid import RequestId
from provisioner.wiring import System


class Aside(Protocol):
    """The house, for the thread that takes files: it is here, or with another process."""

    @property
    def parts(self) -> Collection[Background]:
        """What is to be started."""

    @property
    def looking(self) -> bool:
        """Return True while lanes need not begin yet; see `Portions.looking`."""

    def open(self) -> None:
        """Keep the redo log, where there is one. Raises ConfigError if that is impossible."""

    def begin(self) -> bool:
        """Continue from what the journal has. Return True if it may only be observed."""

    def unserved(self) -> bool:
        """Return True if objects that no handler serves are ended in this process."""

    def go_on(self, redo: Callable[[], None]) -> None:
        """Continue what a crash interrupted with files, now or once they are this process's."""

    def sure(self) -> None:
        """Raise JournalBroken if files are another process's by now."""

    def resume(self) -> None:
        """Continue manifests, and telling people."""

    def now(self) -> float:
        """Return the time of day, as the journal has it."""

    def settled(self) -> float:
        """Return the time by which old data may be removed for good."""

    def admits(self) -> bool:
        """Return True if there is room for new work; correct waits after a jump of the clock."""

    def due(self, seconds: float) -> Iterator[Admitted]:
        """Accept what has come due by itself, each step in a commit, for some seconds."""

    def step(self) -> int:
        """Do a portion of a manifest. Return how much is left to do: 0 for nothing."""

    def follow(self, manifests: Mapping[RequestId, int]) -> None:
        """Have manifests followed. manifests: uid of each one's writer."""


class House:
    """The house of one journal."""

    def __init__(
        self,
        system: System,
        terms: Terms,
        strikes: Strikes,
        perform: Callable[[Iterable[AfterCommit]], None],
        renew: Callable[[Collection[RequestId]], object],
        look: Callable[[], Sight] = look,
    ) -> None:
        """perform: does what a commit leaves; renew: has receipts written again; look: reads the
        clocks."""
        book, self._system = system.journal, system
        enclosures, review = terms.reader.enclosures, terms.review
        longest = {name: one.longest for name, one in system.patience.items()}
        self.clock = Clock(book, longest, look)
        self.intake = Intake(terms)
        follower = Follower(terms, perform)
        self.portions = Portions(book, follower, enclosures, review, system.router, strikes)
        self.copier = Copier(book, system.config)
        self.reporter = Reporter(system)
        self.courier = Courier(system, failures.present, review.is_outsider)
        self.courier.dated = self.clock.dated
        address = self.courier.address
        self.idle = Rounds(system, address, self.clock.sure)
        self.quotas = Watch(system, address, renew, self.clock.dated)

    @property
    def parts(self) -> Collection[Background]:
        """What is to be started."""
        return self.courier, self.reporter, self.quotas, self.idle, self.copier

    @property
    def looking(self) -> bool:
        """Return True while lanes need not begin yet."""
        return self.portions.looking

    def open(self) -> None:
        """Keep the redo log."""
        self.copier.open()

    def begin(self) -> bool:
        """Continue from what the journal has."""
        self.clock.begin()
        return startup.begin(self._system.journal, self._system.config)

    def unserved(self) -> bool:
        """Give each object a lane that there is; return True if some have none."""
        return placement.place(self._system.journal, self._system.lanes)

    def go_on(self, redo: Callable[[], None]) -> None:
        """Do it now."""
        redo()

    def sure(self) -> None:
        """Do nothing: the lock of the spool keeps others out."""

    def resume(self) -> None:
        """Continue manifests, and telling people."""
        self.portions.resume()
        self.courier.begin()

    def now(self) -> float:
        """Return the time of day; correct the journal first if it jumped."""
        return self.clock.now()

    def settled(self) -> float:
        """Return the time by which old data may be removed for good."""
        return self.clock.settled()

    def admits(self) -> bool:
        """Return True if there is room for new work."""
        if not self.copier.admits():
            return False
        self.clock.now()  # corrects waits before anything is written with the time of day
        return True

    def due(self, seconds: float) -> Iterator[Admitted]:
        """Accept what has come due by itself."""
        return self.intake.due(self.clock.dated, seconds)

    def step(self) -> int:
        """Do a portion of a manifest."""
        return self.intake.more_due + self.portions.step()

    def follow(self, manifests: Mapping[RequestId, int]) -> None:
        """Queue them."""
        self.portions.add(manifests)


def terms_of(
    system: System, spool: Spool, has_file: Callable[..., bool], company: Company
) -> Terms:
    """Return by what requests are accepted. has_file: as in `Terms`."""
    config, book = system.config, system.journal
    review = Review(system.policy, system.nature)
    writers = Writers(book, system.policy)
    reads = spool.companions.manifest
    enclosures = Enclosures(config.manifests, review, reads, system.router, writers)
    days = config.retention.journal_days
    signatures = Signatures(config.policy.signatures, days, spool.companions.signature)
    return Terms(
        book=book,
        reader=Reader(system.router, review, enclosures, signatures, writers),
        review=review,
        writers=writers,
        refusals=Refusals(review.is_outsider),
        progress=system.progress,
        lanes=system.router.lanes,
        has_file=has_file,
        company=company,
    )
