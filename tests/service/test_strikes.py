"""What made the service die while it was judged is set aside, and honest requests are served."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provisioner import strikes
from provisioner.intake import Intake
from provisioner.spool import Claimed
from provisioner.strikes import Strikes
from tests.service.engine_site import Site, allocation
from tests.service.test_manifest import entry, newest
from tests.service.test_manifest import put as put_as
from tests.service.test_policy import put
from tests.service.test_portions import restart, send

WRITER, HONEST = 4711, 4712


class Died(BaseException):
    """The process is gone."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    more = "policy: {rules: [{who: [uid-4711, uid-4712], actions: ['*']}]}\n"
    return Site(tmp_path, more)


def serve(site: Site) -> None:
    """Serve what is there, and die of `deadly.yaml`; then start anew."""
    try:
        site.take()
        site.drain()
    except Died:
        restart(site)


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one file kill whoever judges it."""
    read = Intake._read

    def judge(intake: Intake, claimed: Claimed) -> object:
        if claimed.name == "deadly.yaml":
            raise Died
        return read(intake, claimed)

    monkeypatch.setattr(Intake, "_read", judge)


@pytest.mark.usefixtures("deadly")
def test_what_kills_the_service_is_set_aside_and_what_is_beside_it_served(site: Site) -> None:
    put(site, WRITER, allocation(9), "deadly.yaml")
    put(site, HONEST, allocation(1, "ann"), "honest.yaml")
    for _ in range(4):
        serve(site)
    assert newest(site, "honest.yaml").state == "done"
    aside = [path.name for path in (site.config.spool / "quarantine").iterdir()]
    assert [name[27:] for name in sorted(aside)] == ["deadly.yaml", "deadly.yaml.result.yaml"]
    assert "died each time that it judged it" in str(newest(site, "deadly.yaml").problems)
    assert list(site.spool.staging.iterdir()) == []


@pytest.mark.usefixtures("deadly")
def test_what_takes_long_before_it_kills_is_set_aside_the_second_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog waits for longer than that."""
    monkeypatch.setattr(strikes, "LONG", 0.0)
    put(site, WRITER, allocation(9), "deadly.yaml")
    for _ in range(2):
        time.sleep(0.01)
        serve(site)
    assert newest(site, "deadly.yaml").state == "refused"


def test_a_file_that_was_judged_after_all_has_no_strikes_any_more(site: Site) -> None:
    put(site, HONEST, allocation(1, "ann"), "honest.yaml")
    assert isinstance(site.spool.claim("honest.yaml"), Claimed)
    restart(site)
    site.take()
    site.drain()
    assert newest(site, "honest.yaml").state == "done"
    restart(site)
    assert (site.config.spool / ".strikes").read_text() == "{}"


def test_an_unexpected_error_sets_aside_the_file_that_causes_it_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = Intake._claim

    def breaks(intake: Intake, conn: object, wave: list[object], now: float) -> object:
        if any(c.claimed.name == "odd.yaml" for c in wave):  # type: ignore[attr-defined]
            raise RuntimeError("odd")
        return claim(intake, conn, wave, now)  # type: ignore[arg-type]

    monkeypatch.setattr(Intake, "_claim", breaks)
    put(site, WRITER, allocation(9), "odd.yaml")
    put(site, HONEST, allocation(1, "ann"), "honest.yaml")
    site.take()
    site.drain()
    assert newest(site, "honest.yaml").state == "done"
    assert "judging it failed unexpectedly" in str(newest(site, "odd.yaml").problems)
    assert list((site.config.spool / "active").iterdir()) == []


def test_a_manifest_of_which_the_service_dies_twice_is_ended_and_the_next_has_its_turn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = Intake.follow

    def dies(intake: Intake, conn: object, asked: list[object], *rest: object) -> None:
        if any(c.request.subject == "allocation:9" for c in asked):  # type: ignore[attr-defined]
            raise Died
        follow(intake, conn, asked, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Intake, "follow", dies)
    send(site, entry(9, "ann"))
    serve(site)
    assert newest(site, "reconcile.json").state == "accepted"
    put_as(site, "honest.yaml", allocation(1, "ann").encode(), HONEST)
    for _ in range(3):
        serve(site)
    assert newest(site, "reconcile.json").state == "failed"
    assert "died twice" in str(newest(site, "reconcile.json").problems)
    assert newest(site, "honest.yaml").state == "done"
    send(site, entry(2, "bob"))
    serve(site)
    assert newest(site, "reconcile.json").state == "done"


def test_a_death_before_anything_is_judged_is_not_counted_against_a_manifest(
    tmp_path: Path,
) -> None:
    Strikes(tmp_path).note("R", 4)
    assert Strikes(tmp_path).stuck() is None
    assert Strikes(tmp_path).stuck() is None  # this start ended before it judged a portion
    Strikes(tmp_path).note("R", 4)
    assert Strikes(tmp_path).stuck() is None
    Strikes(tmp_path).note("R", 4)
    assert Strikes(tmp_path).stuck() == "R"
