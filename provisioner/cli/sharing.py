"""Serving in a role: an intake, or lanes, beside the processes of other hosts.

Promises: a start that others object to is refused before anything is taken or written, and names
both hosts. Leaves out: the process that serves alone (`serving`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from provisioner.cli import signals
from provisioner.config.schema import Config
from provisioner.contract import ConfigError
from provisioner.hosts.member import Member
from provisioner.journal import stored
from provisioner.recovery import level, startup
from provisioner.spool.spool import Spool
from provisioner.system import ulid
from provisioner.system.sd_notify import Notifier
from provisioner.wiring import System

if TYPE_CHECKING:
    from provisioner.hosts.drainer import Drainer
    from provisioner.hosts.jobs import Jobs
    from provisioner.service import Service


def lanes(system: System, names: Sequence[str]) -> None:
    """Drain some lanes until stopped. Raises ConfigError."""
    jobs = _jobs()
    make_ready(system)
    drainer = near(system, names, jobs)
    with signals.stopping(drainer.stop):
        drainer.run(Notifier())


def near(system: System, names: Sequence[str], jobs: Any) -> Drainer:
    """Return what drains some lanes. jobs: the module. Raises ConfigError."""
    from provisioner.hosts.drainer import Drainer
    from provisioner.journal.hosts.presence import lanes_role
    from provisioner.monitoring.metrics import Metrics

    config, book = system.config, system.journal
    member = Member(book, lanes_role(names), config.roles.lease)
    drainer = Drainer(system, names, member, jobs.Jobs(book, str(config.journal), member))
    drainer.beside = [Metrics(config, system.lanes.values())]
    return drainer


def intake(system: System) -> None:
    """Take requests, and leave lanes to other hosts, until stopped. Raises ConfigError."""
    from provisioner.hosts import ground
    from provisioner.journal.hosts.presence import INTAKE
    from provisioner.outcome import offer
    from provisioner.spool.layout import STAGING

    jobs, config = _jobs(), system.config
    with closing(ground.open_spool(config.spool, config.roles, os.uname().nodename)) as spool:
        spool.lock()
        startup.check_there(config.spool, config.journal)
        make_ready(system)
        member = Member(system.journal, INTAKE, config.roles.lease)
        made = jobs.Jobs(system.journal, str(config.journal), member)
        service = among(system, spool, member, made)
        ulid.reckon(member.now)
        offer.publish(config.spool / STAGING, config.resources)
        with signals.stopping(service.stop):
            service.run(Notifier())


def among(system: System, spool: Spool, member: Member, jobs: Jobs) -> Service:
    """Return the service of an intake among the processes of other hosts."""
    from provisioner.hosts.company import Company, OfIntake
    from provisioner.hosts.elsewhere import Elsewhere
    from provisioner.hosts.ground import Ground
    from provisioner.hosts.handing.handing import Receiver, has_file
    from provisioner.hosts.shares import Apart, Common, Hearing
    from provisioner.house.house import House, terms_of
    from provisioner.house.keeping import Away, Keeping
    from provisioner.house.taking import Taking
    from provisioner.service import Service

    shared = system.config.roles.staging == "shared"
    ground = Ground(spool, system.journal, member, shared=shared)
    service = Service(system, spool, company=OfIntake(member, spool))
    elsewhere = Elsewhere(system.journal, member, jobs)
    # What the house writes is apart from what the intake does: another process may have it.
    own = System(system.config, system.handlers, system.kinds, system.router)
    keeping = Keeping(own, member, elsewhere, service.lanes)
    terms = terms_of(own, spool, service.finisher.has_file, Company(member))
    whole = own, terms, service.finisher.strikes, keeping.perform, keeping.renew
    keeping.keep(House(*whole, look=member.look))
    elsewhere.works = {keeping.name: keeping}
    receiver = Receiver(
        system.journal, spool.staging, lambda: spool.identity, partial(has_file, spool)
    )
    elsewhere.handed = receiver.wake
    elsewhere.hears = hears = Hearing(
        system.journal, service.finisher, service.clerk, service.keeper
    )
    hears.wake, hears.released = service.wake, service.end_observing
    away = Away(system, member)
    if shared:
        away = taking = Taking(system, member, keeping)
        service.finisher.turn = taking.filing
        hears.here = lambda: taking.here

    def check() -> None:
        keeping.check()
        ground.settle()
        mine = spool.identity
        since = ground.since
        hears.share(Common(mine, since, hears.here) if shared else Apart(mine, since))
        if not shared:
            hears.give_up(spool)

    def beaten() -> None:
        hears.follow()
        ground.note()
        receiver.wake()

    elsewhere.check, member.beaten, member.lost = check, beaten, service.stop
    away.parts = (receiver,)
    service.placement, service.aside = elsewhere, away
    return service


def make_ready(system: System) -> None:
    """Migrate the journal, with what only an earlier redo log has, if it needs either; check it.

    Raises ConfigError if it needs either while another process serves it.
    """
    config = system.config
    journal = stored.of(config.journal)
    if journal.exists() and _needs(config):
        with journal.unserved():
            level.catch_up(config.journal, config.backup_directory)
            journal.make_ready()
    startup.refuse_another(system.journal)
    system.journal.check()
    startup.tell_unsafe(config.journal)


def _needs(config: Config) -> bool:
    """Return True if a journal is not ready, or that cannot be seen while others write to it."""
    try:
        lacks = level.check(config.journal, config.backup_directory) is not None
        return lacks or stored.of(config.journal).behind()
    except ConfigError:
        return True


def _jobs() -> Any:
    try:
        from provisioner.hosts import jobs
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--intake and --lanes need the Python package {error.name}, which is not installed",
            advice="pip install 'hpc-provisioner[hosts]'",
        ) from error
    return jobs
