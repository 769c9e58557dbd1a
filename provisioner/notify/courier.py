"""The courier: tells people and the site's hook, in a thread of its own.

Promises: no request waits for it, and none fails because of it: it only reads what is committed. A
message is sent at least once, always under the same id. A server that is away is tried again, less
and less often, and what nobody takes is given up after a configured time; both are logged once and
shown by `doctor`. Leaves out: what is told (`occasions`), and the words (`letters`).
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from provisioner.config.schema import Config
from provisioner.contract import ConfigError, Fault
from provisioner.journal.journal import (
    Connection,
    Journal,
    JournalBroken,
    JournalFull,
    is_of_rows,
)
from provisioner.journal.outbox import messages, news
from provisioner.journal.outbox.messages import HOOK, MAIL, Message
from provisioner.journal.records.request_rows import Record
from provisioner.notify import pace
from provisioner.notify.addresses import Addresses
from provisioner.notify.letters import Letters, TemplateWrong, envelope
from provisioner.notify.occasions import Occasions, person_in
from provisioner.notify.outbox import Outbox
from provisioner.notify.post import Away, Post, Rejected, Session, as_line
from provisioner.notify.summing import Causes
from provisioner.objects.states import MessageState
from provisioner.system import process
from provisioner.system.users import plain, uid_of
from provisioner.wiring import SHIPPED_TEMPLATES, System

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between looks for news."""

WARN = 60.0
"""Seconds between looks for access that ends soon."""

KEPT = 30 * 86400.0
"""Seconds for which messages are kept after they were sent or given up."""

BATCH = 2000
"""The most messages that are looked at together."""

_IN_A_ROW = 2
"""Messages at which a server or program hangs, one after the other, before it counts as away."""

_AFTER_TROUBLE = 60.0
_CLEAN = 3600.0
_LAST = 5.0


def _untried_first(due: Sequence[Message]) -> Sequence[Message]:
    """Return messages with those that failed by themselves last: they keep no other one waiting."""
    return sorted(due, key=lambda message: message.attempts)


def letters_of(config: Config) -> Letters:
    """Return the templates of a site."""
    return Letters((*config.templates, SHIPPED_TEMPLATES))


class Courier:
    """Works between `start` and `stop`. Without `mail` and `hook` it does nothing."""

    def __init__(self, system: System, causes: Causes, is_outsider: Callable[[int], bool]) -> None:
        """causes: of what failed; is_outsider: of a uid that may ask for nothing."""
        self._system = system
        self._journal = system.journal
        self._settings = system.config.notify
        self._causes = causes
        self._is_outsider = is_outsider
        self._letters = letters_of(system.config)
        mail = self._settings.mail
        self._addresses = Addresses(mail, system.outputs_of) if mail is not None else None
        self._reader: Journal | None = None
        self._outbox = Outbox(
            self._journal,
            self._read_from,
            system.config.service,
            self._settings,
            Occasions(
                system.outputs_of,
                mail.operators if mail is not None else (),
                self._asker,
                hook=self._settings.hook is not None,
            ),
            self._addresses,
        )
        self._complaint = {MAIL: "", HOOK: ""}
        self._resting = {MAIL: 0.0, HOOK: 0.0}
        self._failures = {MAIL: 0, HOOK: 0}
        self._cleaned = self._warned = 0.0
        self._troubled: dict[str, float] = {}
        self._parts: Mapping[str, Callable[[float], None]] = {
            "making messages of the news": self._fill,
            "the digest": self._digest,
            "warning before access ends": self._warn,
            "sending mail": self._post,
            "calling the hook": lambda now: self._call(self._due(HOOK, now)),
            "forgetting old messages": lambda _: self._clean(),
        }
        self.dated: Callable[[], float] = time.time
        self._aged = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def begin(self) -> None:
        """Note from where on people are told; before anything is taken."""
        channels = self._settings.channels
        with self._journal.reading() as conn:
            begun = news.begun(conn)
            stranded = messages.of_others(conn, channels)
        if begun == bool(channels) and not stranded:
            return
        with self._journal.transaction() as conn:
            if channels:
                news.begin(conn)
            else:
                news.end(conn)
            why = "it is no longer configured"
            messages.end(conn, stranded, MessageState.GIVEN_UP, time.time(), why)

    def address(self, conn: Connection, person: str) -> str:
        """Return where a person gets mail; '' if nowhere."""
        return self._addresses.of(conn, person) if self._addresses is not None else ""

    def start(self) -> None:
        """Start the thread, if anybody is told anything."""
        if self._settings.channels:
            self._thread.start()

    def stop(self) -> None:
        """Stop; wait a few seconds for a message that is being sent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LAST)
        if self._reader is not None and not self._thread.is_alive():
            self._reader.close()
            self._reader = None

    def work(self, now: float | None = None) -> None:
        """Make the messages of all news, and send what is due, once."""
        if not self._settings.channels:
            return
        # First: after a jump of the clock, it corrects since when messages have waited.
        self._aged = self.dated()
        now = time.time() if now is None else now
        for name, part in self._parts.items():
            # One that cannot be read or written must not keep the others from people.
            if time.monotonic() < self._troubled.get(name, 0.0):
                continue
            try:
                part(now)
            except (JournalBroken, JournalFull):
                raise
            except Exception:
                log.exception("telling people: %s failed; trying again in a minute", name)
                self._troubled[name] = time.monotonic() + _AFTER_TROUBLE

    def _fill(self, now: float) -> None:
        while self._outbox.fill(now) and not self._stopping.is_set():
            pass

    def _digest(self, now: float) -> None:
        self._outbox.digest(self._causes, now)

    def _warn(self, now: float) -> None:
        if time.monotonic() >= self._warned:
            self._warned = time.monotonic() + WARN
            self._outbox.warn(self._aged, now)

    def _due(self, channel: str, now: float, without: Collection[str] = ()) -> list[Message]:
        latest = now + pace.WINDOW + 60
        with self._read_from().reading() as conn:
            return messages.due(conn, channel, now, latest, BATCH, without)

    def _read_from(self) -> Journal:
        """Return the journal on a connection of its own: reading blocks no writer."""
        if self._reader is None:
            self._reader = Journal.open(self._journal.place)
        return self._reader

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            try:
                self.work()
            except (JournalBroken, JournalFull):
                self._stopping.wait(_AFTER_TROUBLE)  # the service says so itself
            except Exception:
                log.exception("telling people failed; trying again in a minute")
                self._stopping.wait(_AFTER_TROUBLE)

    def _asker(self, record: Record) -> str:
        """Return the person who asked; '' for a program, root, and who may ask for nothing."""
        if record.on_behalf_of is not None:
            return record.on_behalf_of
        if record.writer in self._system.config.policy.portals:
            return person_in(record)
        own = record.uid in (0, os.geteuid())
        name = plain(record.writer)
        another = uid_of(name) not in (record.uid, None)  # it is somebody else's name by now
        return "" if own or another or self._is_outsider(record.uid) else name

    # Mail.

    def _post(self, now: float) -> None:
        mail = self._settings.mail
        if mail is None or self._rests(MAIL):
            return
        with self._read_from().reading() as conn:
            sent = messages.sent_between(conn, now - pace.WINDOW, now)
        if sum(map(len, sent.values())) >= mail.in_all:
            return
        # Else the many that wait for one address would hide those of all others.
        full = [address for address, times in sent.items() if len(times) >= mail.per_recipient]
        due = self._due(MAIL, now, full)
        if not due:
            return
        chosen = pace.plan(due, sent, per_recipient=mail.per_recipient, in_all=mail.in_all)
        going = [*chosen.single, *self._summaries(chosen.merged, now)]
        if not going:
            return
        left, lost = _untried_first(going), 0
        try:
            password = self._system.config.secret(mail.password) if mail.password else ""
            post = Post(mail, password)
            while left and not self._stopping.is_set():
                went = self._over_one_connection(post, left)
                lost = 0 if went else lost + 1
                left = left[went + 1 :]
                if lost >= _IN_A_ROW:
                    raise Away(f"{post.place}: {lost} connections in a row broke at a mail")
        except (Away, ConfigError) as error:
            text = error.message if isinstance(error, ConfigError) else str(error)
            self._trouble(MAIL, left, text)

    def _summaries(self, merged: Sequence[Sequence[Message]], now: float) -> Iterator[Message]:
        """Put one message in the place of many for one address, for each of some."""
        for some in merged:
            try:
                yield self._outbox.summary(some, now)
            except Exception as error:
                if not is_of_rows(error):
                    raise
                log.exception("no summary for %s: its mails wait", some[0].address)

    def _over_one_connection(self, post: Post, going: Sequence[Message]) -> int:
        """Send mails until the connection breaks at one; return how many were before it.

        A server can be slow for one address alone, so that this mail is put off, and the others go.
        """
        with post.session() as session:
            for number, message in enumerate(going):
                if self._stopping.is_set():
                    break
                try:
                    self._send(session, message)
                except Away as error:
                    self._put_off(message, str(error))
                    return number
        return len(going)

    def _send(self, session: Session, message: Message) -> None:
        mail = self._settings.mail
        assert mail is not None
        try:
            letter = self._letters.render(message.event, message.facts)
            made = envelope(
                letter, mail, to=message.address, message_id=message.id, at=message.made
            )
            session.send(made, message.address)
        except TemplateWrong as error:
            self._put_off(message, f"the template: {error}")
        except ValueError as error:
            self._end(message, MessageState.GIVEN_UP, str(error))
        except Rejected as error:
            if error.for_good:
                log.warning("mail %s to %s: refused: %s", message.id, message.person, error)
                self._end(message, MessageState.GIVEN_UP, str(error))
            else:
                self._put_off(message, str(error))
        except (Away, JournalBroken, JournalFull):
            raise
        except Exception as error:
            self._unexpected(message, error)
        else:
            self._went_well(MAIL)
            self._end(message, MessageState.SENT, None)

    # The hook.

    def _call(self, due: Sequence[Message]) -> None:
        hook = self._settings.hook
        if hook is None or self._rests(HOOK):
            return
        slow, until = 0, time.monotonic() + pace.ROUND
        for number, message in enumerate(_untried_first(due)):
            if self._stopping.is_set() or (number and time.monotonic() >= until):
                return
            try:
                text = json.dumps(message.facts) + "\n"
                done = process.run(hook.program, stdin=text, timeout=hook.timeout)
            except Fault as fault:
                self._trouble(HOOK, [message], fault.message)
                return
            except Exception as error:
                self._unexpected(message, error)
                continue
            if done.timed_out:
                why = f"did not end in {hook.timeout:g} s"
                self._put_off(message, why)
                slow += 1
                if slow >= _IN_A_ROW:
                    self._trouble(HOOK, (), f"{why}, {slow} times in a row")
                    return
                continue
            slow = 0
            if done.returncode != 0:
                said = as_line(done.stderr)
                self._put_off(message, f"exit code {done.returncode}: {said}")
                continue
            self._went_well(HOOK)
            self._end(message, MessageState.SENT, None)

    # What became of a message.

    def _end(self, message: Message, state: MessageState, error: str | None) -> None:
        with self._journal.transaction() as conn:
            messages.end(conn, [message.id], state, time.time(), error)

    def _put_off(self, message: Message, error: str) -> None:
        """Try one message again later, or give it up."""
        if self._is_old(message):
            log.error("%s %s is given up: %s", message.channel, message.id, error)
            self._end(message, MessageState.GIVEN_UP, error)
            return
        if not message.attempts:
            log.warning("%s %s: %s; trying again", message.channel, message.id, error)
        with self._journal.transaction() as conn:
            messages.put_off(conn, [message.id], time.time() + pace.delay(message.attempts), error)

    def _unexpected(self, message: Message, error: Exception) -> None:
        """Put off a message that cannot be made or sent: it keeps no other one from people."""
        if not message.attempts:
            log.exception("%s %s", message.channel, message.id)
        self._put_off(message, as_line(f"{type(error).__name__}: {error}"))

    def _trouble(self, channel: str, going: Sequence[Message], error: str) -> None:
        """Leave a whole channel alone for a while; give up what is too old."""
        self._failures[channel] += 1
        seconds = pace.delay(self._failures[channel] - 1)
        self._resting[channel] = time.monotonic() + seconds
        if self._complaint[channel] != error:
            self._complaint[channel] = error
            log.error("%s: %s; %d messages wait, trying again", channel, error, len(going))
        old = [message.id for message in going if self._is_old(message)]
        young = [message.id for message in going if not self._is_old(message)]
        with self._journal.transaction() as conn:
            messages.end(conn, old, MessageState.GIVEN_UP, time.time(), error)
            messages.note(conn, young, error)

    def _is_old(self, message: Message) -> bool:
        """Return True if a message has waited for so long that it is given up."""
        return self._aged - message.made >= self._settings.give_up

    def _went_well(self, channel: str) -> None:
        if self._complaint[channel]:
            log.info("%s: messages are taken again", channel)
        self._complaint[channel] = ""
        self._failures[channel] = 0
        self._resting[channel] = 0.0

    def _rests(self, channel: str) -> bool:
        return time.monotonic() < self._resting[channel]

    def _clean(self) -> None:
        if time.monotonic() >= self._cleaned:
            self._cleaned = time.monotonic() + _CLEAN
            while self._has_old():
                with self._journal.transaction() as conn:
                    messages.forget(conn, self._aged - KEPT, BATCH)

    def _has_old(self) -> bool:
        with self._read_from().reading() as conn:
            return messages.old(conn, self._aged - KEPT)
