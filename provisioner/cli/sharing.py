"""Serving in a role: an intake, or lanes, beside the processes of other hosts.

Promises: a start that others object to is refused before anything is taken or written, and names
both hosts. Leaves out: the process that serves alone (`serving`).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from provisioner.contract import ConfigError
from provisioner.hosts.member import Member
from provisioner.journal import stored
from provisioner.recovery import level
from provisioner.system.sd_notify import Notifier
from provisioner.wiring import System


def lanes(system: System, names: Sequence[str]) -> None:
    """Drain some lanes until stopped. Raises ConfigError."""
    from provisioner.hosts.drainer import Drainer
    from provisioner.journal.hosts.presence import lanes_role

    jobs = _jobs()
    make_ready(system)
    member = Member(system.journal, lanes_role(names), system.config.roles.lease)
    drainer = Drainer(
        system, names, member, jobs.Jobs(system.journal, str(system.config.journal), member)
    )
    _on_signals(drainer.stop)
    drainer.run(Notifier())


def intake(system: System) -> None:
    """Take requests, and leave lanes to other hosts, until stopped. Raises ConfigError."""
    from provisioner.hosts.elsewhere import Elsewhere
    from provisioner.journal.hosts.presence import INTAKE
    from provisioner.outcome import offer
    from provisioner.recovery import startup
    from provisioner.service import Service
    from provisioner.spool.layout import STAGING
    from provisioner.spool.spool import Spool

    config = system.config
    with closing(Spool.open(config.spool)) as spool:
        spool.lock()
        startup.check_there(config.spool, config.journal)
        make_ready(system)
        member = Member(system.journal, INTAKE, config.roles.lease)
        elsewhere = Elsewhere(system.journal, member)
        service = Service(system, spool)
        service.placement = elsewhere
        elsewhere.changed, member.lost = service.changed, service.stop
        offer.publish(config.spool / STAGING, config.resources)
        _on_signals(service.stop)
        service.run(Notifier())


def make_ready(system: System) -> None:
    """Migrate the journal if nobody serves it, with what only an earlier redo log has; check it."""
    config = system.config
    journal = stored.of(config.journal)
    with journal.first() as first:
        if first and journal.exists():
            level.catch_up(config.journal, config.backup_directory)
            journal.make_ready()
    system.journal.check()


def _jobs() -> Any:
    try:
        from provisioner.hosts import jobs
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--lanes needs the Python package {error.name}, which is not installed",
            advice="pip install 'hpc-provisioner[hosts]'",
        ) from error
    return jobs


def _on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
