"""Create the attribute types that ColdFront does not ship; existing ones stay unchanged.

Reversing the migration deletes the types that it created, with their values. `Made` records them.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

ALLOCATION = (
    ("fileset_name", "Text"),
    ("fileset_path", "Text"),
    ("fileset_kind", "Text"),
    ("Storage Quota (files)", "Int"),
)
RESOURCE = (("provisioner_resource", "Text"), ("slurm_user_specs", "Attribute Expanded Text"))
PROJECT = (("project_gid", "Int"),)


def make(apps: Any, schema_editor: Any) -> None:
    made = apps.get_model("provisioner_coldfront", "Made")
    for app, model, listed in (
        ("allocation", "AllocationAttributeType", ALLOCATION),
        ("resource", "ResourceAttributeType", RESOURCE),
        ("project", "ProjectAttributeType", PROJECT),
    ):
        kinds = apps.get_model(app, model)
        bases = apps.get_model(app, "AttributeType")
        for name, base in listed:
            if kinds.objects.filter(name=name).exists():
                continue
            known, _ = bases.objects.get_or_create(name=base)
            one = kinds.objects.create(name=name, attribute_type=known)
            made.objects.create(model=f"{app}.{model}", row=one.pk)


def unmake(apps: Any, schema_editor: Any) -> None:
    for one in apps.get_model("provisioner_coldfront", "Made").objects.all():
        app, _, model = one.model.partition(".")
        apps.get_model(app, model).objects.filter(pk=one.row).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("provisioner_coldfront", "0001_initial"),
        ("allocation", "0006_alter_historicalallocation_options_and_more"),
        ("resource", "0003_alter_historicalresource_options_and_more"),
        ("project", "0006_historicalproject_institution_project_institution"),
    ]
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
        migrations.RunPython(make, unmake),
    ]
