"""What cannot be done with one request, or recorded of one object, keeps back no other.

A lane, or the service, failed at the same one again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.admission import endings
from provisioner.admission.acceptance import Acceptance
from provisioner.journal.journal import Connection
from provisioner.journal.records.request_rows import Record
from provisioner.objects.states import RequestState
from provisioner.outcome import telling
from provisioner.steps import remarks
from tests.support.clocks import Clocks
from tests.support.ends_site import DAY, ending, look, scheduled
from tests.support.engine_site import Site, allocation, control, user
from tests.support.manifest_site import newest, told

CONFIG = """\
policy: {rules: [{who: ["*"], actions: ["*"], others: true}]}
"""

NAMES = ("ann", "bob", "dan", "eve")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def failing_at(name: str, *original: Any, at: int) -> Callable[..., Any]:
    """Return a function that fails about one subject. original: else called; at: which argument
    says the subject."""
    [does] = original

    def fails(*words: Any, **more: Any) -> Any:
        if name in str(words[at]):
            raise KeyError(name)
        return does(*words, **more)

    return fails


def test_an_object_of_which_nothing_can_be_recorded_keeps_its_lane_for_no_other(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in NAMES:
        site.drop(user(name, uid=7), f"{name}.yaml")
    broken = failing_at("bob.yaml", remarks.overtaken, at=1)
    monkeypatch.setattr(remarks, "overtaken", broken)
    site.drain()
    assert sorted(site.states()["done"]) == ["ann.yaml", "dan.yaml", "eve.yaml"]
    assert "not recorded" in caplog.text
    site.drain()
    [failed] = site.results("failed")
    assert "could not be recorded: KeyError('bob.yaml')" in str(failed)


def test_a_request_whose_time_has_come_and_that_cannot_be_judged_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, CONFIG)
    scheduled(site, 0, 0, 0)
    with monkeypatch.context() as patch:
        readmit: Any = Acceptance._readmit
        patch.setattr(Acceptance, "_readmit", failing_at("1.yaml", readmit, at=1))
        for _ in range(3):
            site.service.house.intake._look_again = 0.0
            site.take()
    site.drain()
    assert newest(site, "1.yaml").state == RequestState.HELD
    assert "judging it failed unexpectedly" in told(newest(site, "1.yaml"))
    assert sorted(site.states()["done"]) == ["0.yaml", "2.yaml"]
    seen = newest(site, "1.yaml")
    site.request(control("request.release", seen.id) + f"digest: {seen.digest}\n", "go.yaml")
    assert newest(site, "1.yaml").state == RequestState.DONE


def test_a_date_that_cannot_be_followed_is_refused_and_followed_again_a_day_later(
    site: Site, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        site.drop(ending(allocation(number, f"u{number}"), 1), f"{number}.yaml")
    site.drain()
    clocks.go(2 * DAY)
    follow = endings._follow

    def fails(acceptance: Acceptance, end: Any, crowd: Any, *error: Exception) -> None:
        follow(acceptance, end, crowd, *error)
        if end.subject == "allocation:1" and not error:
            raise KeyError("no")

    with monkeypatch.context() as patch:
        patch.setattr(endings, "_follow", fails)
        look(site)
        look(site)
    states = [newest(site, f"ended-allocation-{number}.json").state for number in range(3)]
    assert states == ["done", "refused", "done"]
    clocks.go(2 * DAY)
    look(site)
    assert newest(site, "ended-allocation-1.json").state == "done"


def test_a_request_whose_record_cannot_be_told_keeps_back_no_other_file(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = telling.read

    def fails(conn: Connection, loaded: Mapping[Any, Record], steps: Any) -> Any:
        if any(record.name == "bob.yaml" for record in loaded.values()):
            raise KeyError("bob.yaml")
        return read(conn, loaded, steps)

    monkeypatch.setattr(telling, "read", fails)
    for name in NAMES:
        site.drop(user(name, uid=7), f"{name}.yaml")
    site.drain()
    assert sorted(site.states()["done"]) == ["ann.yaml", "dan.yaml", "eve.yaml"]
    assert caplog.text.count("its file could not be put in place") == 1


def test_a_handler_that_cannot_get_ready_keeps_nothing_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(handler: Any, keys: Any) -> None:
        raise KeyError("no")

    monkeypatch.setattr(type(site.system.handlers["first"]), "prepare", fails)
    monkeypatch.setattr(type(site.system.handlers["second"]), "prepare", fails)
    site.request(user("ann", uid=7), "ann.yaml")
    assert site.states()["done"] == ["ann.yaml"]
