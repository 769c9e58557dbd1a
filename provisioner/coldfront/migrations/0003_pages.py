"""What the pages show: who caused a request, what it steers, and what its steps wait for."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("provisioner_coldfront", "0002_attribute_types")]
    operations = [
        migrations.AddField("request", "advice", models.TextField(blank=True, default="")),
        migrations.AddField(
            "request", "by", models.CharField(blank=True, default="", max_length=150)
        ),
        migrations.AddField("request", "of", models.BigIntegerField(db_index=True, null=True)),
        migrations.AddField(
            "step", "kind", models.CharField(blank=True, default="", max_length=40)
        ),
        migrations.AddField("step", "needs", models.JSONField(default=list)),
    ]
