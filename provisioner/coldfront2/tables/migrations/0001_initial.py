"""The outbox's tables."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.CreateModel(
            name="Made",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("model", models.CharField(max_length=100)),
                ("row", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Request",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("event", models.CharField(max_length=500)),
                ("action", models.CharField(blank=True, max_length=40)),
                ("subject", models.CharField(blank=True, max_length=255)),
                ("key", models.CharField(db_index=True, max_length=255)),
                ("allocation", models.IntegerField(db_index=True, null=True)),
                ("project", models.IntegerField(db_index=True, null=True)),
                ("code", models.CharField(blank=True, db_index=True, default="", max_length=64)),
                ("user", models.CharField(blank=True, db_index=True, max_length=150)),
                ("body", models.TextField(blank=True)),
                ("digest", models.CharField(blank=True, max_length=64)),
                ("problems", models.JSONField(default=list)),
                ("state", models.CharField(db_index=True, default="new", max_length=20)),
                ("error", models.TextField(blank=True)),
                ("advice", models.TextField(blank=True, default="")),
                ("by", models.CharField(blank=True, default="", max_length=150)),
                ("of", models.BigIntegerField(db_index=True, null=True)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("written", models.DateTimeField(null=True)),
                ("answered", models.DateTimeField(null=True)),
                ("answer", models.JSONField(null=True)),
            ],
            options={
                "ordering": ["number"],
            },
        ),
        migrations.CreateModel(
            name="Sync",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("error", models.TextField(blank=True, default="")),
                ("behind", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Standing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("allocation", models.IntegerField()),
                ("user", models.CharField(max_length=150)),
                ("state", models.CharField(max_length=20)),
                ("number", models.BigIntegerField()),
                ("message", models.TextField(blank=True)),
                ("advice", models.TextField(blank=True)),
                ("ready", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["allocation", "user"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("allocation", "user"), name="provisioner_one_standing"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Step",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("user", models.CharField(blank=True, db_index=True, max_length=150)),
                ("handler", models.CharField(blank=True, max_length=100)),
                ("state", models.CharField(max_length=20)),
                ("kind", models.CharField(blank=True, default="", max_length=40)),
                ("message", models.TextField(blank=True)),
                ("advice", models.TextField(blank=True)),
                ("needs", models.JSONField(default=list)),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="steps",
                        to="provisioner_coldfront.request",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
    ]
