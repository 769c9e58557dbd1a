"""Who was opened has all their days again, whoever closed them, and for whatever cause."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.config.keeping import RetentionConfig
from provisioner.journal.figures import idle as figures
from provisioner.recovery.retention import Keeper
from tests.support.clocks import Clocks
from tests.support.engine_site import Site, control, user
from tests.support.idle_site import (
    DAY,
    idle_site,
    leave,
    live,
    newest,
    reasons,
    seen,
    walk,
    warnings,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return idle_site(tmp_path)


def forget(site: Site) -> None:
    """Let retention remove all that is older than it has to be kept."""
    settings = RetentionConfig.model_validate({"journal_floor": 3})
    list(Keeper(site.spool, site.system.journal, settings).portions(time.time()))


def by_lack_of_use(site: Site, clocks: Clocks) -> None:
    """Let ann be closed for being idle."""
    live(site, clocks, 150, step=50)
    live(site, clocks, 34)
    assert reasons(site, "ann") == ["root: idle"]


def by_hand(site: Site, _: Clocks) -> None:
    """Let somebody close ann for a leave."""
    site.request(user("ann", "suspend", cause="leave"), "leave.yaml")


def resumed(cause: str) -> Callable[[Site], None]:
    """Return what lifts a suspension for a cause."""

    def resume(site: Site) -> None:
        site.request(user("ann", "resume", cause=cause), "back.yaml")

    return resume


def cancelled(site: Site) -> None:
    """Cancel the suspension while what it closes is away."""
    site.request(control("request.cancel", newest(site, "leave.yaml").id), "cancel.yaml")
    site.back(site.first)


def by_hand_while_it_is_away(site: Site, clocks: Clocks) -> None:
    """Let somebody close ann, who is not closed yet."""
    site.first.away = True
    site.drop(user("ann", "suspend", cause="leave"), "leave.yaml")


OPENED: dict[str, tuple[Callable[[Site, Clocks], None], Callable[[Site], None]]] = {
    "for lack of use, and a resume": (by_lack_of_use, resumed("idle")),
    "for a leave, and a resume": (by_hand, resumed("leave")),
    "for a leave that is cancelled": (by_hand_while_it_is_away, cancelled),
}


@pytest.mark.parametrize(("close", "open_"), OPENED.values(), ids=OPENED)
def test_who_was_opened_is_neither_closed_nor_warned_by_the_next_rounds(
    site: Site,
    clocks: Clocks,
    close: Callable[[Site, Clocks], None],
    open_: Callable[[Site], None],
) -> None:
    leave(site)
    close(site, clocks)
    live(site, clocks, 410, step=41)
    for number in range(3):  # outcomes that retention keeps whatever their age
        site.request(user("bob", uid=8 + number), f"bob{number}.yaml")
    open_(site)
    forget(site)
    told = len(warnings(site))
    clocks.go(0.5 * DAY)
    seen(site.root, bob=0.0, ann=610.0)
    walk(site)
    live(site, clocks, 100, step=50)
    assert (reasons(site, "ann"), site.limit("first/account/ann")) == ([], "7")
    assert len(warnings(site)) == told


def test_who_is_still_closed_for_another_cause_was_not_opened(site: Site, clocks: Clocks) -> None:
    leave(site)
    by_lack_of_use(site, clocks)
    by_hand(site, clocks)
    resumed("leave")(site)
    live(site, clocks, 2)
    assert reasons(site, "ann") == ["root: idle"]
    assert [kept.spared for kept in kept_of(site, "ann")] == [None]


def kept_of(site: Site, name: str) -> list[figures.Kept]:
    with site.system.journal.reading() as conn:
        return [kept for kept in figures.kept(conn).values() if kept.person == name]
