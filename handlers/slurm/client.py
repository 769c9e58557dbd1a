"""What the handler of one cluster talks to: its slurmdbd, its slurmctld, and records of its jobs.

Leaves out: the calls (`sacctmgr`, `rest`, `slurmctld`, `jobs`), and who wants what (`handler`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from handlers.slurm.database import Database
from handlers.slurm.jobs import Records
from handlers.slurm.programs import Programs
from handlers.slurm.readers import MOST, Readers
from handlers.slurm.rest.slurmrestd import Slurmrestd
from handlers.slurm.rest.wire import Wire
from handlers.slurm.sacctmgr import Sacctmgr
from handlers.slurm.settings import Settings
from handlers.slurm.slurmctld import Slurmctld
from handlers.slurm.slurmdbd import Slurmdbd
from handlers.slurm.spare import Spare
from provisioner.contract import Site


@dataclass(frozen=True, slots=True)
class Tools:
    """One cluster."""

    slurmdbd: Slurmdbd
    slurmctld: Slurmctld
    records: Records
    database: Database


def _slurmdbd(site: Site, settings: Settings, programs: Programs) -> Slurmdbd:
    """Return the way to slurmdbd that the settings name."""
    if settings.transport == "sacctmgr":
        if _is_kept(settings):
            idle, environment = settings.sacctmgr_idle, programs.environment
            most = min(MOST, settings.timeout)
            readers = Readers(settings.sacctmgr, environment, idle, most)
            spare = Spare((*settings.sacctmgr, "-i"), environment, idle)
            return Sacctmgr(programs, settings.cluster, settings.sacctmgr, readers, spare)
        return Sacctmgr(programs, settings.cluster, settings.sacctmgr)
    named, user = settings.token, settings.rest_user or ""
    token = None if named is None else functools.partial(site.secret, named)
    wire = Wire(settings.slurmrestd or "", token, user, settings.timeout, settings.ca_file)
    return Slurmrestd(wire, settings.cluster, settings.parser or "")


def _is_kept(settings: Settings) -> bool:
    """Return True if sacctmgr is kept running; an agent runs one for each call."""
    return bool(settings.sacctmgr_idle) and settings.sacctmgr[0].partition(":")[0] != "agent"


def tools_of(site: Site, settings: Settings) -> Tools:
    """Return what the settings name."""
    environment = {"SLURM_CONF": settings.slurm_conf} if settings.slurm_conf else {}
    programs = Programs(site.run, environment, settings.timeout)
    cancels = settings.scancel if settings.on_suspend == "cancel" else ()
    spare = None
    if settings.transport == "sacctmgr" and _is_kept(settings) and len(settings.scontrol) == 1:
        # Not with a prefix: sudo would have to allow it without more words.
        spare = Spare(settings.scontrol, environment, settings.sacctmgr_idle)
    return Tools(
        _slurmdbd(site, settings, programs),
        Slurmctld(programs, settings.scontrol, settings.squeue, cancels, spare),
        Records(programs, settings.cluster, settings.sacctmgr, settings.sacct),
        Database(programs, settings.mysql),
    )
