"""`provisioner top`: the queue on the whole screen; its keys send what the verbs send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from textual.pilot import Pilot
from textual.widgets import DataTable, Static
from textual.worker import WorkerCancelled

from provisioner.cli.choosing import ALL, Filter
from provisioner.cli.screen import Page, Question
from provisioner.cli.top import screen_of
from tests.support.cli_site import PROGRAM, Desk, clean, storage, user
from tests.support.terminals import on_terminal

WRONG = storage().replace("hpc-storage", "hpc-storge")
HELD = storage("CF2").replace("id: 1", "id: 2")
Driven = Callable[[Pilot[None]], Awaitable[None]]


def made(root: Path) -> Desk:
    """Make a sandbox with a request that was refused, and one that waits for its lane."""
    desk = Desk(root)
    desk.serve(user("jdoe"), WRONG)
    desk("pause", "gpfs:local")
    desk("submit", "-", stdin=HELD.encode())
    desk("run", "--drain", "--patience", "0.5", code=None)
    return desk


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return made(tmp_path_factory.mktemp("top") / "box")


@pytest.fixture
def desk(box: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Give a sandbox in which nothing happens; what is sent is taken away again."""
    monkeypatch.setenv("PROVISIONER_CONFIG", str(box.config))
    yield box
    for file in (box.spool / "staging").iterdir():
        file.unlink()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Give a sandbox of the test's own."""
    desk = made(tmp_path / "box")
    monkeypatch.setenv("PROVISIONER_CONFIG", str(desk.config))
    return desk


def drive(driven: Driven, chosen: Filter = ALL) -> None:
    """Open the screen, and do something with it."""

    async def run() -> None:
        async with screen_of(chosen).run_test(size=(140, 40)) as pilot:
            await pilot.pause()
            await driven(pilot)

    asyncio.run(run())


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Press keys, and wait for what they begin."""
    await pilot.press(*keys)
    while pilot.app.workers:
        with suppress(WorkerCancelled):  # a later look takes the place of one that is under way
            await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def rows(pilot: Pilot[None]) -> list[str]:
    table = pilot.app.screen_stack[0].query_one(DataTable)
    return [" ".join(str(cell) for cell in table.get_row_at(n)) for n in range(table.row_count)]


def said(widget: Static) -> str:
    """Return the text of a widget: Textual 2, of Debian 13, calls it otherwise."""
    return str(getattr(widget, "content", None) or widget.renderable)  # type: ignore[attr-defined]


def below(pilot: Pilot[None], name: str) -> str:
    return said(pilot.app.screen_stack[0].query_one(name, Static))


def told(pilot: Pilot[None]) -> list[str]:
    return [note.message for note in pilot.app._notifications]


def staged(desk: Desk) -> list[dict[str, str]]:
    files = (desk.spool / "staging").glob("*.yaml")
    return [yaml.safe_load(file.read_text()) for file in files]


def test_trouble_stands_first_each_with_why(desk: Desk) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        first, second = rows(pilot)
        assert "refused" in first and "there is no resource 'hpc-storge'" in first
        assert "allocation:2" in second and "lane gpfs:local is paused" in second
        assert "did you mean hpc-storage?" in below(pilot, "#why")
        assert "no service on this host serves the spool" in below(pilot, "#head")
        await press(pilot, "down")
        assert "provisioner unpause gpfs:local" in below(pilot, "#why")

    drive(driven)


@pytest.mark.parametrize(
    ("keys", "action"),
    [
        ("r", "request.retry"),
        ("jr", "request.retry"),
        ("jh", "request.hold"),
        ("jc", "request.cancel"),
    ],
)
def test_a_key_sends_what_its_verb_sends_after_a_question(
    desk: Desk, keys: str, action: str
) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        await press(pilot, *("down" if key == "j" else key for key in keys))
        assert isinstance(pilot.app.screen, Question)
        assert staged(desk) == []
        await press(pilot, "y")
        assert told(pilot) == [f"{action.partition('.')[2]}: dropped as {action[8:]}.yaml"]

    drive(driven)
    [sent] = staged(desk)
    assert sent["action"] == action


@pytest.mark.parametrize("key", ["n", "escape", "enter", "q"])
def test_any_other_answer_than_yes_sends_nothing(desk: Desk, key: str) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        await press(pilot, "r", key)
        assert not isinstance(pilot.app.screen, Question)
        assert (pilot.app.is_running, told(pilot)) == (True, [])

    drive(driven)
    assert staged(desk) == []


def test_a_verb_that_is_not_for_a_request_says_what_it_is_for(desk: Desk) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        await press(pilot, "l")
        assert not isinstance(pilot.app.screen, Question)
        [note] = told(pilot)
        assert note.endswith("is refused; release is for: held")

    drive(driven)


def test_a_release_names_the_digest_of_what_was_on_the_screen(served: Desk) -> None:
    name = served("queue", "--json").json["requests"][0]["id"]
    served("hold", name)
    served("run", "--drain", "--patience", "0.5", code=None)

    async def driven(pilot: Pilot[None]) -> None:
        await press(pilot, "down", "l", "y")

    drive(driven)
    [sent] = staged(served)
    assert (sent["request"], sent["digest"]) == (name, served.show(name)["digest"])


def test_the_whole_of_a_request_is_shown_and_left_again(desk: Desk) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        await press(pilot, "s")
        assert isinstance(pilot.app.screen, Page)
        assert "# What happened:" in said(pilot.app.screen.query_one(Static))
        await press(pilot, "q")
        assert len(pilot.app.screen_stack) == 1

    drive(driven)


def test_words_narrow_the_list_until_they_are_taken_back(desk: Desk) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        await press(pilot, "slash", *"allocation", "colon", "2", "enter")
        assert ["allocation:2" in row for row in rows(pilot)] == [True]
        await press(pilot, "escape")
        assert len(rows(pilot)) == 2

    drive(driven)


def test_options_narrow_it_as_those_of_queue_do(desk: Desk) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        assert ["refused" in row for row in rows(pilot)] == [True]

    drive(driven, Filter(state="refused"))


def test_what_happens_meanwhile_is_shown_and_the_cursor_stays_on_its_request(served: Desk) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        await press(pilot, "down")
        before = below(pilot, "#why").splitlines()[0]
        served("submit", "-", stdin=WRONG.replace("id: 1", "id: 3").encode())
        served("run", "--drain", "--patience", "0.5", code=None)
        pilot.app.look_again()  # type: ignore[attr-defined]
        await press(pilot)
        assert len(rows(pilot)) == 3
        assert below(pilot, "#why").splitlines()[0] == before

    drive(driven)


def test_q_ends_it(desk: Desk) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        await pilot.press("q")
        assert not pilot.app.is_running

    drive(driven)


def test_what_others_wrote_controls_neither_terminal_nor_markup(served: Desk) -> None:
    served.begin(WRONG.replace("hpc-storge", r'"[red]x[/] \e[2J"'))

    async def driven(pilot: Pilot[None]) -> None:
        shown = "\n".join([*rows(pilot), below(pilot, "#why")])
        assert ("[red]x[/]" in shown, clean(shown)) == (True, True)

    drive(driven)


def test_elsewhere_than_on_a_terminal_it_says_what_to_type(desk: Desk) -> None:
    assert "provisioner queue --watch" in desk("top", code=2).err


def test_a_look_that_fails_is_told_and_the_screen_stays(served: Desk) -> None:
    async def driven(pilot: Pilot[None]) -> None:
        served.break_off("journal")
        pilot.app.look_again()  # type: ignore[attr-defined]
        await press(pilot)
        assert "journal.db does not exist" in told(pilot)[0]
        assert len(rows(pilot)) == 2

    drive(driven)


def test_the_real_program_takes_the_whole_terminal_and_gives_it_back(desk: Desk) -> None:
    drawn = on_terminal([*PROGRAM, "top"], {"PROVISIONER_CONFIG": str(desk.config)}, "q")
    assert drawn.code == 0
    assert drawn.raw.index("\x1b[?1049h") < drawn.raw.rindex("\x1b[?1049l")
