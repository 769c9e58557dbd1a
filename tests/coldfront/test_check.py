"""`provisioner_check`: whether the service knows the resources that requests would name."""

from __future__ import annotations

from importlib import metadata
from io import StringIO

import pytest
from coldfront.core.resource.models import Resource, ResourceAttribute
from django.core.management import CommandError, call_command

from provisioner.coldfront.management.commands import provisioner_check
from provisioner.outcome import offer
from tests.coldfront.allocations import HPC
from tests.coldfront.site import Site

UNKNOWN = r"the service does not know 1 of [0-9]+ resources"


def check() -> str:
    said = StringIO()
    call_command("provisioner_check", stdout=said, no_color=True)
    return said.getvalue()


def known(site: Site, *names: str) -> None:
    """Let every resource of the test data be known, but for those of the test."""
    clusters = ResourceAttribute.objects.filter(resource_attribute_type__name="slurm_cluster")
    offer.publish(site.staging, {*clusters.values_list("value", flat=True), *names})


def line(said: str, resource: str) -> list[str]:
    [found] = [row for row in said.splitlines() if row.startswith(f"{resource}  ")]
    return found.removeprefix(resource).split(maxsplit=1)


def test_every_resource_is_listed_with_its_name_for_the_service(site: Site) -> None:
    site.says("Budgetstorage", provisioner_resource="store")
    site.says(HPC, provisioner_resource="-")
    known(site, "store")
    said = check()
    assert line(said, "Budgetstorage") == ["store", "known"]
    assert line(said, HPC) == ["-", "not provisioned"]
    assert line(said, "University Cloud") == ["-", "not provisioned"]


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (provisioner_check.TESTED, f"ColdFront {provisioner_check.TESTED}: tested"),
        ("1.0.4", f"ColdFront 1.0.4: not tested, unlike {provisioner_check.TESTED}"),
    ],
)
def test_the_coldfront_stands_beside_the_one_that_was_tested(
    site: Site, monkeypatch: pytest.MonkeyPatch, release: str, words: str
) -> None:
    known(site)
    monkeypatch.setattr(metadata, "version", {"coldfront": release}.__getitem__)
    assert words in check()


def test_a_resource_that_the_service_does_not_know_comes_first_with_the_nearest_name(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.says("Budgetstorage", provisioner_resource="stroe")
    known(site, "store")
    with pytest.raises(CommandError, match=UNKNOWN):
        call_command("provisioner_check", no_color=True)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("Budgetstorage")
    assert "stroe" in first
    assert "unknown: did you mean store?" in first


def test_a_name_that_would_move_the_cursor_is_shown_without_that(site: Site) -> None:
    Resource.objects.filter(name="Budgetstorage").update(name="Budget\x1b[2Jstorage")
    known(site)
    assert "\x1b" not in check()


def test_a_service_that_says_nothing_is_told_with_what_to_look_at(site: Site) -> None:
    with pytest.raises(CommandError, match="look whether `provisioner run` serves this spool"):
        check()
