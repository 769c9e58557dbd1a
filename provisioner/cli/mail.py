"""Verbs about messages to people: mail preview, mail queue.

Promises: nothing is sent, and nothing is written. Leaves out: sending (`notify`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import site
from provisioner.cli.board import span
from provisioner.cli.waiting import moment
from provisioner.contract import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from provisioner.journal.outbox.messages import Message

_MOST = 50
"""The most messages of a state that are printed; --json lists all."""

mail_app = typer.Typer(no_args_is_help=True, help="See which mails wait, and what they look like.")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(mail_app, name="mail")


@mail_app.command()
def preview(
    template: str = typer.Argument(
        ..., metavar="TEMPLATE", help="an event, such as allocation_ready, or summary"
    ),
    html: bool = typer.Option(False, "--html", help="print the HTML, for a browser"),
) -> None:
    """Show the mails of a template, with sample facts."""
    from difflib import get_close_matches

    from provisioner.notify import samples
    from provisioner.notify.courier import letters_of
    from provisioner.notify.letters import NAMES, TemplateWrong

    if template not in NAMES:
        near = get_close_matches(template, NAMES, 1)
        raise InvalidRequest(
            f"there is no template {template!r}",
            expected=f"one of {', '.join(NAMES)}",
            nearest=near[0] if near else "",
        )
    letters = letters_of(site.config())
    for number, facts in enumerate(samples.of(template)):
        try:
            letter = letters.render(template, facts)
        except TemplateWrong as error:
            raise ConfigError(str(error), advice="fix the template, then look again") from None
        if html:
            site.say(letter.html or "this template has no HTML")
            return
        if number:
            site.say("-" * 72)
        site.say(f"To:      {facts['person']} ({facts['role']})\nSubject: {letter.subject}\n")
        site.say(letter.text.rstrip())


@mail_app.command("queue")
def mail_queue(
    sent: bool = typer.Option(False, "--sent", help="also list what was sent, the newest first"),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """List the messages that wait or were given up, with what the server said."""
    from provisioner.journal.outbox import messages
    from provisioner.objects.states import MessageState

    states = [MessageState.GIVEN_UP, MessageState.WAITING]
    states += [MessageState.MERGED, MessageState.SENT] if sent else []
    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            counts = messages.counts(conn)
            found = {state: messages.listed(conn, [state], 100_000) for state in states}
    finally:
        book.close()
    if as_json:
        rows = [_plain(message) for some in found.values() for message in some]
        site.print_json({"counts": counts, "messages": rows})
        return
    for state, some in found.items():
        for line in _lines(state, some, time.time()):
            site.say(line)
    site.say(", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "empty")


def _lines(state: str, some: Sequence[Message], now: float) -> Iterator[str]:
    for message in some[:_MOST]:
        whom = message.address or message.person or message.channel
        about = f" about {message.subject}" if message.subject else ""
        what = message.event.replace("_", " ")
        yield f"{state:8}  {span(now - message.made):>6}  {whom}: {what}{about}"
        if message.error:
            tries = f"tried {message.attempts} times: " if message.attempts > 1 else ""
            yield f"                    {tries}{message.error}"
    if len(some) > _MOST:
        yield f"{state:8}  and {len(some) - _MOST} more; --json lists all"


def _plain(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "channel": message.channel,
        "event": message.event,
        "person": message.person,
        "address": message.address,
        "subject": message.subject,
        "state": message.state,
        "made": moment(message.made),
        "due": moment(message.due),
        "ended": moment(message.ended),
        "attempts": message.attempts,
        "error": message.error,
    }
