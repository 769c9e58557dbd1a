"""ColdFront's own scheduler: where a centre runs qcluster, that does what the timers would.

Promises: each schedule is there once, however often it is asked for. Leaves out: what is done then
(the commands), and whether a qcluster runs at all, which nobody but its operator knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from django_q.models import Schedule
from django_q.tasks import schedule

_WHEN: Mapping[str, Mapping[str, object]] = {
    "provisioner_sync": {"schedule_type": Schedule.MINUTES, "minutes": 1},
    "provisioner_reconcile": {"schedule_type": Schedule.HOURLY},
}
"""The commands that are run, which are the schedules' names, too; as often as the timers do."""


def begin() -> list[str]:
    """Have qcluster run the commands; return the names of those that it did not run before."""
    there = set(Schedule.objects.filter(name__in=_WHEN).values_list("name", flat=True))
    fresh = [name for name in _WHEN if name not in there]
    for name in fresh:
        schedule("django.core.management.call_command", name, name=name, **_WHEN[name])
    return fresh


def end() -> int:
    """Have qcluster run them no more; return how many there were."""
    return int(Schedule.objects.filter(name__in=_WHEN).delete()[0])
