"""Makes approved allocations active when what they ask for is done.

Promises: an allocation becomes active by ColdFront's own flow, and only if it is still approved and
its newest request is done; if its access was closed, it must be open again. Two runs at the same
time give the same result as one. Leaves out: asking (`reading`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from coldfront.ras.flows import AllocationStatusFlow
from coldfront.ras.models import Allocation
from django.db import transaction

from provisioner.coldfront.asking import earlier, mapping
from provisioner.coldfront.asking.outbox import access_key
from provisioner.coldfront.models import Request
from provisioner.coldfront2.mapping import APPROVED

log = logging.getLogger(__name__)


def follow() -> tuple[int, int]:
    """Activate what is done; return 0, as nothing is Pending, and how many are Active now."""
    approved = list(Allocation.objects.filter(status=APPROVED).values_list("pk", flat=True))
    return 0, sum(_activate(pk) for pk in ready(approved))


def ready(allocations: Sequence[int]) -> list[int]:
    """Return the allocations whose newest request is done, and whose access is open."""
    keys = {mapping.key_of("allocation", pk): pk for pk in allocations}
    done = [pk for key, pk in keys.items() if _is_done(key)]
    moved = earlier.last_named(access_key(pk) for pk in done)
    return [pk for pk in done if _is_open(moved.get(access_key(pk)))]


def _is_done(key: str) -> bool:
    # A note that something has changed counts: a request follows it.
    newest = Request.objects.filter(key=key).last()
    return newest is not None and (newest.action, newest.state) == ("allocation.provision", "done")


def _is_open(moved: Request | None) -> bool:
    return moved is None or (moved.action, moved.state) == ("allocation.resume", "done")


def _activate(pk: int) -> int:
    """Activate an allocation unless its status has changed meanwhile; return 1 if it did."""
    try:
        with transaction.atomic():
            row = Allocation.objects.select_for_update().filter(pk=pk, status=APPROVED).first()
            if row is None:
                return 0
            AllocationStatusFlow(row).activate()
            return 1
    except Exception:
        log.exception("provisioner: failed to activate allocation %s; tried again in a minute", pk)
        return 0
