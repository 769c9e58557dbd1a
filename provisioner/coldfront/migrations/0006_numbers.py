"""Whether the service knows higher numbers than this ColdFront has given out."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("provisioner_coldfront", "0005_news")]

    operations = [
        migrations.AddField("Sync", "behind", models.BigIntegerField(default=0)),
    ]
