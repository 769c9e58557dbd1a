"""The code under which a project was asked for stands beside each request."""

from __future__ import annotations

import json
from typing import Any

from django.db import migrations, models


def read_codes(apps: Any, editor: Any) -> None:
    """Take the codes from what was asked for."""
    of = apps.get_model("provisioner_coldfront", "Request").objects
    rows = of.filter(action__in=("allocation.provision", "project.provision")).exclude(body="")
    for row in rows.only("number", "body").iterator():
        asked = json.loads(row.body)
        project = asked.get("project") or asked["allocation"]["project"]
        of.filter(pk=row.pk).update(code=project["code"])


class Migration(migrations.Migration):
    dependencies = [("provisioner_coldfront", "0003_pages")]

    operations = [
        migrations.AddField(
            "Request",
            "code",
            models.CharField(blank=True, db_index=True, default="", max_length=64),
        ),
        migrations.RunPython(read_codes, migrations.RunPython.noop),
    ]
