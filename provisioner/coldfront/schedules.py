"""Schedules for ColdFront's own scheduler, qcluster, where a centre uses it in place of the timers.

Promises: each schedule exists once, after any number of calls. Leaves out: what the commands do,
and whether a qcluster is running; only its operator knows that.
"""

from __future__ import annotations

from collections.abc import Mapping

from django_q.models import Schedule
from django_q.tasks import schedule

_WHEN: Mapping[str, Mapping[str, object]] = {
    "provisioner_sync": {"schedule_type": Schedule.MINUTES, "minutes": 1},
    "provisioner_reconcile": {"schedule_type": Schedule.HOURLY},
}
"""The commands to run, at the timers' intervals. A schedule has the name of its command."""


def begin() -> list[str]:
    """Create the schedules that do not exist yet; return their names."""
    there = set(Schedule.objects.filter(name__in=_WHEN).values_list("name", flat=True))
    fresh = [name for name in _WHEN if name not in there]
    for name in fresh:
        schedule("django.core.management.call_command", name, name=name, **_WHEN[name])
    return fresh


def end() -> int:
    """Delete the schedules; return how many there were."""
    return int(Schedule.objects.filter(name__in=_WHEN).delete()[0])
