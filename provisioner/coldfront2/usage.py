"""Shows in ColdFront 2's storage quotas how much of them is used.

Promises: nothing is asked for because of it; an answer is read once. Leaves out: measuring; the
service's receipts have it.
"""

from __future__ import annotations

from coldfront.storage.models import StorageQuota
from django.db.models import Max

from provisioner.coldfront.answering import answers
from provisioner.coldfront.asking import earlier, mapping
from provisioner.coldfront.models import Request

_DONE = "allocation.provision"


def tell() -> None:
    """Write what newer answers than the last look say is used."""
    quotas = {row.allocation_id: row for row in StorageQuota.objects.all()}
    rows = Request.objects.filter(action=_DONE, state="done").exclude(answered=None).order_by()
    looked = rows.values_list("allocation").annotate(Max("answered"))
    # Only whether the times are the same counts: they are those of the service's host.
    fresh = {
        mapping.key_of("allocation", pk): (quotas[pk], answered)
        for pk, answered in looked
        if pk in quotas and answered != quotas[pk].last_updated
    }
    for key, row in earlier.last_done(fresh, _DONE).items():
        use = answers.use(row.answer)
        if use.space is not None:
            # An update sends no signal: ColdFront wants nothing else than before.
            quota, answered = fresh[key]
            StorageQuota.objects.filter(pk=quota.pk).update(
                used=use.space, used_files=use.files, last_updated=answered
            )
