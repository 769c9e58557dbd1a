"""ColdFront 2 and a service that serves: what is approved comes true, and is active then.

Between ColdFront and emulated backends nothing is played: requests go through staging, answers come
by receipts.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from django.test import override_settings

from provisioner.coldfront.models import Request
from provisioner.system.users import user_name
from tests.coldfront2.site import Site
from tests.support import outbox
from tests.support.cli_site import Desk


def members(desk: Desk) -> set[str]:
    """List who has an association in the allocation's account."""
    sacctmgr = desk.root / "slurm/bin/sacctmgr"
    words = ("-nP", "show", "assoc", "cluster=a", "account=folding", "format=user")
    shown = subprocess.run([sacctmgr, *words], check=True, capture_output=True, text=True)
    return set(shown.stdout.split())


def test_an_approval_comes_true_and_active_and_a_member_who_leaves_is_out(
    site: Site, tmp_path: Path
) -> None:
    desk = Desk(tmp_path / "box")
    receipts = desk.spool / "receipts" / user_name(os.geteuid())
    asking = Site(desk.spool / "staging", receipts)
    Request.objects.all().delete()  # they went to another staging
    with override_settings(
        PROVISIONER_STAGING=str(asking.staging), PROVISIONER_RECEIPTS=str(receipts)
    ):
        allocation = asking.on_cluster(max_jobs=5)
        asking.move(allocation, "approve")
        desk("run", "--drain", "--patience", "6", code=None)
        said = outbox.sync()
        allocation.refresh_from_db()
        assert (allocation.status, members(desk)) == ("active", {"anna", "pi"}), said
        assert "sbatch -A folding" in asking.get(f"/ras/allocations/{allocation.pk}/")
        asking.member("anna").delete()
        desk("run", "--drain", "--patience", "6", code=None)
        assert members(desk) == {"pi"}
