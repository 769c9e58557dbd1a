"""What made the service die while it was judged is set aside, and honest requests are served."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provisioner.admission.acceptance import Acceptance
from provisioner.admission.candidates import Candidate
from provisioner.admission.reading import Reader
from provisioner.journal.records import companion_rows
from provisioner.manifests.following import Commit
from provisioner.spool import strikes
from provisioner.spool.spool import Submission
from provisioner.spool.strikes import Strikes
from provisioner.system.ulid import RequestId
from tests.support.engine_site import Site, allocation, release
from tests.support.manifest_site import entry, newest
from tests.support.manifest_site import put as put_as
from tests.support.policy_site import put
from tests.support.portions_site import restart, send

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
    read = Reader._read

    def judge(reader: Reader, submission: Submission) -> object:
        if submission.name == "deadly.yaml":
            raise Died
        return read(reader, submission)

    monkeypatch.setattr(Reader, "_read", judge)


@pytest.fixture(autouse=True)
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what has died twice rest for no time."""
    monkeypatch.setattr(strikes, "REST", 0.0)


@pytest.mark.usefixtures("deadly")
def test_what_kills_the_service_is_set_aside_and_what_is_beside_it_served(site: Site) -> None:
    put(site, WRITER, allocation(9), "deadly.yaml")
    put(site, HONEST, allocation(1, "ann"), "honest.yaml")
    for _ in range(6):
        serve(site)
    assert newest(site, "honest.yaml").state == "done"
    aside = [path.name for path in (site.config.spool / "quarantine").iterdir()]
    assert [name[27:] for name in sorted(aside)] == ["deadly.yaml", "deadly.yaml.result.yaml"]
    assert "died each time it judged this file" in str(newest(site, "deadly.yaml").problems)
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


def die(site: Site, *names: str) -> None:
    """Take files as the intake does, and die of something else; then start anew."""
    for name in names:
        assert isinstance(site.spool.take(name), Submission)
    restart(site)


def test_a_death_while_a_file_lay_beside_others_counts_against_none(site: Site) -> None:
    put(site, HONEST, allocation(1, "ann"), "one.yaml")
    put(site, HONEST, allocation(2, "bob"), "two.yaml")
    for _ in range(strikes.MOST + 1):
        die(site, "one.yaml", "two.yaml")
    site.take()
    site.drain()
    assert newest(site, "one.yaml").state == newest(site, "two.yaml").state == "done"


def test_what_lasted_long_says_the_clock_of_the_file_system(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = time.time
    put(site, HONEST, allocation(1, "ann"), "one.yaml")
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: here() + 3600)
        for _ in range(strikes.MOST - 1):
            die(site, "one.yaml")
    site.take()
    site.drain()
    assert newest(site, "one.yaml").state == "done"


def test_a_death_after_the_service_was_asked_to_stop_counts_against_nothing(site: Site) -> None:
    put(site, HONEST, allocation(1, "ann"), "one.yaml")
    for _ in range(strikes.MOST + 1):
        site.service.stop()
        die(site, "one.yaml")
    site.take()
    site.drain()
    assert newest(site, "one.yaml").state == "done"


def test_what_died_twice_rests_and_others_are_served_meanwhile(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strikes, "REST", 3600.0)
    put(site, WRITER, allocation(9, "ann"), "twice.yaml")
    die(site, "twice.yaml")
    die(site, "twice.yaml")
    put(site, HONEST, allocation(1, "ann"), "honest.yaml")
    site.take()
    site.drain()
    assert newest(site, "honest.yaml").state == "done"
    assert [path.name for path in site.spool.staging.iterdir()] == ["twice.yaml"]
    monkeypatch.setattr(strikes, "REST", 0.0)
    restart(site)  # it had strikes, and rests still: they are not forgotten
    assert "2" in (site.config.spool / ".strikes").read_text()
    site.take()
    site.drain()
    assert newest(site, "twice.yaml").state == "done"


def test_a_file_that_was_judged_after_all_has_no_strikes_any_more(site: Site) -> None:
    put(site, HONEST, allocation(1, "ann"), "honest.yaml")
    assert isinstance(site.spool.take("honest.yaml"), Submission)
    restart(site)
    site.take()
    site.drain()
    assert newest(site, "honest.yaml").state == "done"
    restart(site)
    assert (site.config.spool / ".strikes").read_text() == "{}"


def test_an_unexpected_error_sets_aside_the_file_that_causes_it_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = Acceptance._claim

    def breaks(acceptance: Acceptance, wave: list[Candidate]) -> object:
        if any(candidate.submission.name == "odd.yaml" for candidate in wave):
            raise RuntimeError("odd")
        return claim(acceptance, wave)

    monkeypatch.setattr(Acceptance, "_claim", breaks)
    put(site, WRITER, allocation(9), "odd.yaml")
    put(site, HONEST, allocation(1, "ann"), "honest.yaml")
    site.take()
    site.drain()
    assert newest(site, "honest.yaml").state == "done"
    assert "judging it failed unexpectedly" in str(newest(site, "odd.yaml").problems)
    assert list((site.config.spool / "active").iterdir()) == []


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one line of a manifest kill whoever follows it."""
    follow = Commit.follow

    def dies(commit: Commit, asked: list[Candidate]) -> object:
        if any(c.request is not None and c.request.subject == "allocation:9" for c in asked):
            raise Died
        return follow(commit, asked)

    monkeypatch.setattr(Commit, "follow", dies)


@pytest.mark.usefixtures("poisoned")
def test_a_manifest_at_one_place_of_which_the_service_dies_again_and_again_is_held(
    site: Site,
) -> None:
    send(site, entry(9, "ann"))
    for _ in range(strikes.MOST - 1):
        serve(site)
        assert newest(site, "reconcile.json").state == "accepted"
    put_as(site, "honest.yaml", allocation(1, "ann").encode(), HONEST)
    for _ in range(2):
        serve(site)
    held = newest(site, "reconcile.json")
    assert held.state == "held"
    assert "died 4 times at the same place" in str(held.problems)
    assert newest(site, "honest.yaml").state == "done"
    send(site, entry(2, "bob"))
    serve(site)
    assert newest(site, "reconcile.json").state == "done"


def test_a_manifest_that_was_held_for_deaths_of_another_cause_is_let_go_on_by_who_sent_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Commit, "follow", lambda *_: (_ for _ in ()).throw(Died))
        send(site, entry(2, "bob"))
        for _ in range(strikes.MOST):
            serve(site)
    held = newest(site, "reconcile.json")
    assert held.state == "held"
    put_as(site, "go.yaml", release(held).encode(), WRITER)
    serve(site)
    assert newest(site, "reconcile.json").state == "done"


@pytest.mark.usefixtures("poisoned")
def test_a_manifest_that_rests_keeps_no_other_writer_s_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strikes, "REST", 3600.0)
    send(site, entry(9, "ann"))
    serve(site)
    serve(site)
    send(site, entry(2, "bob"), uid=HONEST)
    serve(site)
    assert newest(site, "reconcile.json").state == "done"
    with site.system.journal.reading() as conn:
        assert len(companion_rows.with_companion(conn)) == 1


def test_a_death_before_anything_is_judged_is_not_counted_against_a_manifest(
    tmp_path: Path,
) -> None:
    Strikes(tmp_path).note(RequestId("R"), 4)
    assert Strikes(tmp_path).deaths() == {"R": 1}
    assert Strikes(tmp_path).deaths() == {"R": 1}  # this start ended before it judged a portion
    Strikes(tmp_path).note(RequestId("R"), 4)
    assert Strikes(tmp_path).deaths() == {"R": 2}


@pytest.mark.parametrize(
    ("places", "count"),
    [((0, 0, 0), 3), ((900, 400, 800), 3), ((0, 5000, 90), 1), ((-1, -1), 2), ((200, -1), 1)],
)
def test_deaths_count_together_that_were_at_one_place_of_a_manifest(
    tmp_path: Path, places: tuple[int, ...], count: int
) -> None:
    for place in places:
        Strikes(tmp_path).note(RequestId("R"), place)
        found = Strikes(tmp_path).deaths()
    assert found == {"R": count}
    Strikes(tmp_path).forget(RequestId("R"))
    assert Strikes(tmp_path).deaths() == {}


def test_a_death_after_a_stop_was_asked_for_is_none_of_a_manifest(tmp_path: Path) -> None:
    before = Strikes(tmp_path)
    before.note(RequestId("R"), 4)
    before.stopping()
    assert Strikes(tmp_path).deaths() == {}
