"""Verbs about messages to people: mail preview, mail queue.

Promises: nothing is sent, and nothing is written. Leaves out: sending (`notify`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import site
from provisioner.cli.waiting import moment
from provisioner.cli.words import span
from provisioner.contract import ConfigError, InvalidRequest, validation

if TYPE_CHECKING:
    from provisioner.config.notify import NotifyConfig
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
    from provisioner.notify import samples
    from provisioner.notify.courier import letters_of
    from provisioner.notify.letters import NAMES, TemplateWrong

    if template not in NAMES:
        raise InvalidRequest(
            f"there is no template {template!r}",
            expected=f"one of {', '.join(NAMES)}",
            nearest=validation.nearest(template, NAMES),
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
    from provisioner.notify import pace
    from provisioner.objects.states import MessageState

    states = [MessageState.GIVEN_UP, MessageState.WAITING]
    states += [MessageState.MERGED, MessageState.SENT] if sent else []
    settings, now = site.config(), time.time()
    book = site.journal(settings)
    try:
        with book.reading() as conn:
            counts = messages.counts(conn)
            recent = messages.sent_between(conn, now - pace.WINDOW, now)
            found = {state: messages.listed(conn, [state], 100_000) for state in states}
    finally:
        book.close()
    served = site.served_by(settings.spool) is not None

    def because(message: Message) -> str:
        if message.state != MessageState.WAITING:
            return ""
        return _why(message, recent, settings.notify, now) if served else _UNSERVED

    if as_json:
        rows = [
            {**_plain(message), "why": because(message)}
            for some in found.values()
            for message in some
        ]
        site.print_json({"counts": counts, "messages": rows})
        return
    for state, some in found.items():
        for line in _lines(state, some, because, now):
            site.say(line)
    site.say(", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "empty")


_UNSERVED = "no service on this host serves the spool: provisioner run"


def _why(
    message: Message, sent: Mapping[str, Sequence[float]], settings: NotifyConfig, now: float
) -> str:
    """Return why a message waits. sent: when each address got mail within the last hour."""
    from provisioner.journal.outbox.messages import MAIL, mailbox
    from provisioner.notify import pace

    if message.due > now:
        return f"tried again in {span(message.due - now)}"
    if message.channel != MAIL:
        return "it goes with the next round" if settings.hook else "no `notify.hook` is configured"
    mail = settings.mail
    if mail is None:
        return "no `notify.mail` is configured"
    own = sorted(sent.get(mailbox(message.address), ()))
    every = sorted(moment for moments in sent.values() for moment in moments)
    for moments, limit, name in (
        (own, mail.per_recipient, "per_recipient"),
        (every, mail.in_all, "in_all"),
    ):
        if len(moments) >= limit:
            room = span(moments[-limit] + pace.WINDOW - now)
            whom = "its address got" if moments is own else "all addresses together got"
            return f"{whom} {site.many(limit, 'mail')} within an hour ({name}); room in {room}"
    return "tried again after a rest" if message.error else "it goes with the next round"


def _lines(
    state: str, some: Sequence[Message], because: Callable[[Message], str], now: float
) -> Iterator[str]:
    for message in some[:_MOST]:
        whom = message.address or message.person or message.channel
        about = f" about {message.subject}" if message.subject else ""
        what = message.event.replace("_", " ")
        yield f"{state:8}  {span(now - message.made):>6}  {whom}: {what}{about}"
        if message.error:
            tries = f"tried {message.attempts} times: " if message.attempts > 1 else ""
            yield f"                    {tries}{message.error}"
        if message.summary:
            yield f"                    in {message.summary}"
        if why := because(message):
            yield f"                    waits: {why}"
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
        "summary": message.summary,
    }
