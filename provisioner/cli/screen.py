"""The queue on the whole screen: trouble first, with a key for each verb that steers.

Promises: nothing is steered without a question that names the request, and no verb is offered for a
request that it is not for. What is shown controls no terminal. Leaves out: reading, and sending
(`top`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static
from textual.worker import get_current_worker

from provisioner.cli import board, paint
from provisioner.cli.queue import Seen, head, reasons
from provisioner.cli.words import span
from provisioner.contract import Fault
from provisioner.inspection.worklist import ORDER, Item
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.journal.records.request_rows import Record

T = TypeVar("T")

AGAIN = 2.0
"""Seconds between two looks."""

_REASON = 100
"""The most characters of a reason in the table; all of it stands below."""


_BY_INITIAL = ("retry", "hold", "cancel", "dismiss")
"""The verbs whose key is their first letter."""


class Question(ModalScreen[bool]):
    """Asks whether to do something: `y` does it, every other key does not."""

    DEFAULT_CSS = """
    Question { align: center middle; }
    Question > Static { width: 80%; height: auto; padding: 1 2; border: heavy $warning; }
    """

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        yield Static(paint.text([paint.line(text) for text in (*self._lines, "", "[y/N]")]))

    def on_key(self, event: Key) -> None:
        event.stop()
        self.dismiss(event.key == "y")


class Page(ModalScreen[None]):
    """Shows a long text; scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,s", "dismiss(None)", "back")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(paint.text([paint.line(text) for text in self._text.splitlines()]))
        yield Footer()


class Top(App[None]):
    """The queue, looked at again and again."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head, #why { height: auto; max-height: 8; }
    #why { border-top: solid $primary; }
    #filter { display: none; }
    DataTable { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(verb[0], f"steer('{verb}')", verb) for verb in _BY_INITIAL),
        Binding("l", "steer('release')", "release"),
        Binding("s", "show", "show"),
        Binding("slash", "filter", "filter"),
        Binding("escape", "unfilter", "all", show=False),
        Binding("q", "quit", "quit"),
    ]

    def __init__(
        self,
        look: Callable[[], Seen],
        steer: Callable[[str, Record], str],
        show: Callable[[Record], str],
        allowed: Mapping[str, Collection[str]],
    ) -> None:
        """look: reads the queue; steer: sends a verb for a request, and returns what to tell; show:
        returns all that is known of a request; allowed: the states that each verb is for.
        """
        super().__init__()
        self._look = look
        self._steer = steer
        self._show = show
        self._allowed = allowed
        self._seen = look()
        self._narrow = ""
        self._items: dict[str, Item] = {}
        self._why: dict[RequestId, Sequence[str]] = {}

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield DataTable(cursor_type="row", zebra_stripes=True)
        yield Static(id="why")
        yield Input(placeholder="words that a row has; Enter keeps, Esc shows all", id="filter")
        yield Footer()

    def on_mount(self) -> None:
        for column in ("ID", "STATE", "AGE", "ACTION", "SUBJECT", "ASKED BY", "REASON"):
            self._table.add_column(column, key=column)
        self._fill()
        self._table.focus()
        self.set_interval(AGAIN, self.look_again)

    @property
    def _table(self) -> DataTable[object]:
        return self.query_one(DataTable)

    @property
    def _item(self) -> Item | None:
        """The request under the cursor."""
        table = self._table
        if not table.is_valid_coordinate(table.cursor_coordinate):
            return None
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        return self._items.get(str(key))

    def look_again(self) -> None:
        """Look at the queue, and show what is new."""
        self._beside("look", self._look, self._fill)

    def _beside(self, group: str, does: Callable[[], T], then: Callable[[T], object]) -> None:
        """Do something in a thread, and something with what it returns; tell its fault."""

        def run() -> None:
            after: Callable[[], object]
            try:
                result = does()
            except (Fault, OSError) as error:
                after = partial(self._tell, str(error), "error")
            else:
                after = partial(then, result)
            if not get_current_worker().is_cancelled:
                self.call_from_thread(after)

        self.run_worker(run, thread=True, exclusive=True, group=group)

    def _fill(self, seen: Seen | None = None) -> None:
        """Show a look; the cursor stays on its request."""
        self._seen = seen or self._seen
        now = time.time()
        items = [*self._seen.trouble_items, *self._seen.requests]
        waits = reasons(self._seen)
        self._why = {i.record.id: waits.get(i.record.id) or board.why(i) for i in items}
        items.sort(key=lambda item: ORDER.index(item.record.state))
        lines = paint.text(head(self._seen))
        self.query_one("#head", Static).update(lines)
        before, table = self._item, self._table
        at = table.cursor_row
        table.clear()
        self._items = {}
        for item in items:
            cells = self._cells(item, now)
            if self._narrow.casefold() not in " ".join(cells).casefold():
                continue
            style = board.STYLES.get(item.record.state, "")
            self._items[item.record.id] = item
            table.add_row(*(paint.text([paint.line(c, style)]) for c in cells), key=item.record.id)
        kept = before is not None and before.record.id in self._items
        row = list(self._items).index(before.record.id) if before is not None and kept else at
        table.move_cursor(row=max(0, min(row, len(self._items) - 1)))
        self._explain()

    def _cells(self, item: Item, now: float) -> tuple[str, ...]:
        record, (action, subject) = item.record, item.about
        age, ident = span(now - item.since), self._seen.short[record.id]
        why = " ".join(" ".join(self._why[record.id][:1]).split())[:_REASON]
        return ident, str(record.state), age, action, subject, record.asker, why

    def on_data_table_row_highlighted(self) -> None:
        self._explain()

    def on_data_table_row_selected(self) -> None:
        self.action_show()

    def _explain(self) -> None:
        """Tell below the table why the request under the cursor failed or waits."""
        item = self._item
        if item is None:
            text = "no request has these words" if self._narrow else "nothing failed, nothing waits"
            lines = [paint.line(text)]
        else:
            why = map(paint.line, self._why[item.record.id])
            lines = [paint.line(item.record.id, "bold"), *why]
        self.query_one("#why", Static).update(paint.text(lines))

    def action_steer(self, verb: str) -> None:
        """Ask, and then send a verb for the request under the cursor."""
        item = self._item
        if item is None:
            return
        record, short = item.record, self._seen.short[item.record.id]
        if record.state not in self._allowed[verb]:
            states = ", ".join(self._allowed[verb])
            self._tell(f"{short} is {record.state}; {verb} is for: {states}", "warning")
            return
        asked = [f"{verb} {short}?", " ".join(item.about), f"asked for by {record.asker}"]

        def answered(yes: bool | None) -> None:
            if yes:
                sends = partial(self._steer, verb, record)
                self._beside(f"{verb} {record.id}", sends, lambda t: self._tell(f"{verb}: {t}"))

        self.push_screen(Question([*asked, *self._why[record.id]]), answered)

    def action_show(self) -> None:
        """Show all that is known of the request under the cursor."""
        if self._item is not None:
            shows = partial(self._show, self._item.record)
            self._beside("show", shows, lambda text: self.push_screen(Page(text)))

    def action_filter(self) -> None:
        """Ask for words."""
        self.query_one(Input).display = True
        self.query_one(Input).focus()

    def action_unfilter(self) -> None:
        """Show all again."""
        self.query_one(Input).value = ""
        self._close()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._narrow = event.value
        self._fill()

    def on_input_submitted(self) -> None:
        self._close()

    def _close(self) -> None:
        self.query_one(Input).display = False
        self._table.focus()

    def _tell(self, text: str, severity: str = "information") -> None:
        shown = paint.plain(paint.line(text))
        self.notify(paint.unmarked(shown), severity=severity)  # type: ignore[arg-type]
