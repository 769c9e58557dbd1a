"""The journal's tables, as SQLAlchemy Core sees them.

Promises: one place for names and types; what only SQLite has is in `dialect`. Times are seconds
since the epoch, UTC. Leaves out: any reading or writing (`journal`, `records/`, `queries/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    and_,
    func,
    literal_column,
    or_,
)

from provisioner.journal.dialect import Errors, States, unindexed
from provisioner.objects.states import Adoption, MessageState, RequestState, StepState

metadata = MetaData()

VERSION = 29
"""The version of these tables; a change of them needs the next one, and a migration to it."""


requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True, doc="ULID given when the file is taken"),
    Column("name", Text, nullable=False, doc="the file's name in staging"),
    Column("writer", Text, nullable=False, doc="owner of the file"),
    Column("uid", Integer, nullable=False),
    Column("writer_id", Text, doc="the writer's own `id`"),
    Column("order_key", Text),
    Column("order_number", BigInteger),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("digest", Text, nullable=False, doc="SHA-256 of the body"),
    Column("body", LargeBinary, nullable=False),
    Column("state", States(RequestState), nullable=False),
    Column("not_before", Float),
    Column("accepted", Float, nullable=False),
    Column("ended", Float),
    Column("problems", JSON(none_as_null=True), doc="why refused, or what else to know"),
    Column("held_by", Text, doc="who holds it, in words"),
    Column("approved_by", Text, doc="who released what policy held"),
    Column("on_behalf_of", Text, doc="the person for whom a trusted writer asked"),
    Column("listed", Text, doc="the users of its companion, a name a line"),
    Column("for_review", Boolean, doc="policy holds it until a second person has seen it"),
    Column("set_aside", Boolean, doc="its file was never read, and is in quarantine"),
    Column("duplicate_of", Text, doc="the earlier request of the same own id or signed bytes"),
    Column("fixed_by", Text, doc="the request that put right what failed; its own id: tried again"),
    Column("replaces", Text, doc="the earlier request that this one is to put right"),
    Column("ends", Float, doc="when the access that it gives ends"),
    Column("ended_by", Text, doc="the service's own request, made when `ends` had come"),
    Column("spool", Text, nullable=False, server_default="", doc="where its file was taken"),
    Column("follows", Text, doc="the request from whose manifest it follows"),
    Index("requests_state", "state"),
    Index("requests_writer_id", "writer", "writer_id"),
    Index("requests_digest", "digest"),
    Index("requests_order", "writer", "order_key", "order_number"),
    Index("requests_subject", "subject"),
)

UNFIXED = and_(
    unindexed(requests.c.state).in_([literal_column("'failed'"), literal_column("'refused'")]),
    or_(requests.c.fixed_by.is_(None), requests.c.fixed_by == requests.c.id),
)
"""Requests that a later one may still put right, as the indexes of them have it. A statement that
says the same in other words, or with parameters, reads all requests. What is not indexed is so to
keep SQLite from the index of states."""


def _partial(name: str, columns: Sequence[Column[Any]], rows: ColumnElement[bool]) -> None:
    """Give a table an index that has some of its rows."""
    Index(name, *columns, sqlite_where=rows, postgresql_where=rows)


_partial("requests_unfixed", [requests.c.subject], UNFIXED)
_partial("requests_unfixed_name", [requests.c.name], UNFIXED)
_partial("requests_ends", [requests.c.ends], requests.c.ends.is_not(None))
_partial("requests_fixed_by", [requests.c.fixed_by], requests.c.fixed_by.is_not(None))

LEFT = (requests.c.state == RequestState.REFUSED) & (func.length(requests.c.body) == 0)
"""Rows that an outsider may have left: only their refused requests are stored without a body."""

companions = Table(
    "companions",
    metadata,
    Column("request", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False, doc="the manifest, until it has been compared"),
)

steps = Table(
    "steps",
    metadata,
    Column("request", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("instance", Text, nullable=False),
    Column("needs", JSON, nullable=False),
    Column("routed", Boolean, nullable=False, doc="made by the route; else by the ledger"),
    Column("state", States(StepState), nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("error", Errors()),
    Column("withdraws", Boolean, nullable=False, doc="it only takes claims away"),
)

step_objects = Table(
    "step_objects",
    metadata,
    Column("request", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("claimant", Text, nullable=False),
    Column("generation", Integer, doc="the object's when the step became due"),
    Column("state", States(StepState), nullable=False),
    Column("changed", JSON, nullable=False),
    Column("error", Errors()),
    Column("read_back", JSON(none_as_null=True)),
    Index("step_objects_key", "key", "state"),
)


def in_state(state: StepState) -> ColumnElement[bool]:
    """Match parts of steps in a state, in the words of the index of those that are not over.

    With a parameter in its place, SQLite prepares a statement again for each row that it writes: it
    looks whether the value fits the index. That takes ten times as long as the rest.
    """
    return step_objects.c.state == literal_column(f"'{state}'")


WAITING, DUE = in_state(StepState.WAITING), in_state(StepState.DUE)
UNENDED = or_(WAITING, DUE)
"""Parts of steps that are not over, as their index has it (like UNFIXED): a request can have ten
thousand others. One that waits, or is due, is found as well by either of these alone."""

_partial(
    "step_objects_unended",
    [step_objects.c.request, step_objects.c.state, step_objects.c.step, step_objects.c.item],
    UNENDED,
)

OF_USERS = step_objects.c.item != literal_column("''")  # as the index of them has it
_partial("step_objects_users", [step_objects.c.request, step_objects.c.item], OF_USERS)

claims = Table(
    "claims",
    metadata,
    Column("key", Text, primary_key=True),
    Column("claimant", Text, primary_key=True),
    Column("root", Text, nullable=False, doc="first part of the claimant"),
    Column("leaf", Text, nullable=False, doc="last part of the claimant"),
    Column("want", JSON(none_as_null=True), doc="null until the step that claims is due"),
    Column("request", Text, nullable=False, doc="the last request that claimed"),
    Column("source", Text, nullable=False),
    Column("former", Text, doc="the request that had the claim before; null: none"),
    Index("claims_root", "root"),
    Index("claims_leaf", "leaf"),
)

suspensions = Table(
    "suspensions",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("subject", "source", "cause")),
    Column("request", Text, nullable=False),
    Column("since", Float, nullable=False),
)

words = Table(  # of manifests, about persons whom another writer asks for, too
    "words",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("writer", Text, primary_key=True, doc="whose manifest it is"),
    Column("listed", Boolean, nullable=False, doc="it lists the person; else it leaves them out"),
    Column("request", Text, nullable=False, doc="that of the manifest, or that closed them"),
    Column("since", Float, nullable=False),
    Column("kept", Text, doc="another writer's request, for which who is left out stays open"),
    Column("ends", Float, doc="when the access of who is listed ends"),
    Column("ended_by", Text, doc="the service's own request, made when `ends` had come"),
)
_partial("words_ends", [words.c.ends], words.c.ends.is_not(None))

objects = Table(
    "objects",
    metadata,
    Column("key", Text, primary_key=True),
    Column("instance", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("generation", Integer, nullable=False, doc="raised by each change of the want"),
    Column("converged", Integer, nullable=False, doc="the generation last read back as wanted"),
    Column("due", Float),
    Column("writer", Text, nullable=False, doc="in whose turn it is looked at"),
    Column("attempts", Integer, nullable=False),
    Column("waiting_since", Float),
    Column("error", Errors()),
    Column("state", JSON(none_as_null=True), doc="as last read"),
    Column("observed", Float),
    Column("prior", JSON(none_as_null=True), doc="saved before it was closed, to be given back"),
    Column("adoption", States(Adoption), doc="how it was taken over; null: it was not"),
    Column("identity", JSON(none_as_null=True), doc="what may not change while it is claimed"),
    Column("applied", JSON(none_as_null=True), doc="what claims set, with what was before"),
    Index("objects_due", "lane", "due"),
)

_partial(
    "objects_turns", [objects.c.lane, objects.c.writer, objects.c.due], objects.c.due.is_not(None)
)

numbers = Table(  # on which files depend: a row stays after its object is gone
    "numbers",
    metadata,
    Column("kind", Text, primary_key=True, doc="what it counts, such as `uid`"),
    Column("number", BigInteger, primary_key=True),
    Column("key", Text, primary_key=True, doc="the object that has it, or had it"),
)

writers = Table(  # a row stays after its account is gone: its name may be given to another
    "writers",
    metadata,
    Column("name", Text, primary_key=True, doc="by which requests, claims and suspensions go"),
    Column("uid", Integer, nullable=False, doc="whose requests it means"),
)

lanes = Table(
    "lanes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_by", Text),
    Column("breaker_until", Float),
    Column("breaker_reason", Text),
)

holds = Table(  # of lanes that several hosts may drain
    "holds",
    metadata,
    Column("lane", Text, primary_key=True),
    Column("epoch", Integer, nullable=False, doc="raised by each host that takes the lane up"),
    Column("host", Text, doc="which has it; null: it was given back"),
    Column("since", Float, nullable=False),
)

hosts = Table(  # `presence.Host`
    "hosts",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("name", "roles")),
    Column("version", Text, nullable=False, doc="of the program"),
    *(Column(name, Float, nullable=False) for name in ("since", "heard", "ahead")),
)

spools = Table(  # of intakes, each of which files what was taken in its own: `spools.Spool`
    "spools",
    metadata,
    Column("id", Text, primary_key=True, doc="as requests have it; '': of the first one"),
    *(Column(name, Text, nullable=False) for name in ("host", "place")),
    Column("mark", Text, nullable=False, doc="what the intake has written into its staging"),
    Column("served", Float, nullable=False, doc="when an intake last said that it has it"),
)

shutting = Table(  # a moment ago: what policy remembers where several processes accept
    "shutting",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", Integer, nullable=False, doc="of the submitter"),
    Column("at", Float, nullable=False),
    Column("told", Text, nullable=False, doc="JSON: whom it shut out, and what was before"),
    Column("teller", Text, nullable=False, doc="the process that accepted it"),
)

handed = Table(  # requests on their way from a host without a spool: `handed.Handed`
    "handed",
    metadata,
    Column("id", Text, primary_key=True, doc="ULID given when it is handed on"),
    Column("name", Text, nullable=False, doc="of its file in staging"),
    Column("body", LargeBinary, nullable=False),
    Column("taker", Text, doc="its spool and host; null: none yet"),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("request", Text),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("subject", Text, doc="whom it is about: a subject or a claimant"),
    Column("facts", Text, doc="JSON as it was hashed"),
    Column("previous", Text, nullable=False, doc="the hash of the event before"),
    Column("hash", Text, nullable=False, doc="SHA-256 over all other columns: `audit.seal`"),
    Index("events_request", "request"),
)
NEW_USER = events.c.kind == literal_column("'new-user'")
"""Events that name a user whom a request brought, as the index of them has it."""
_partial("events_new_users", [events.c.at], NEW_USER)

marks = Table(  # metadata of the journal; not the signs that handlers put on objects
    "marks",
    metadata,
    Column("name", Text, primary_key=True, doc="`facts` has the names"),
    Column("value", Text, nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True, doc="the same whenever it is sent: in the Message-ID"),
    Column("channel", Text, nullable=False, doc="mail or hook"),
    Column("event", Text, nullable=False),
    Column("person", Text, nullable=False, doc="whom it is for; the hook gets one for all"),
    Column("address", Text, nullable=False, doc="'' if the person has none"),
    Column("subject", Text, nullable=False, doc="whom it is about"),
    Column("facts", JSON, nullable=False, doc="what its template gets"),
    Column("state", States(MessageState), nullable=False),
    Column("made", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("ended", Float),
    Column("error", Text, doc="what the server said when it was last tried"),
    Column("summary", Text, doc="the message that went in its place, together with others"),
    Index("messages_state", "state", "due"),
)

told = Table(
    "told",
    metadata,
    Column("person", Text, primary_key=True),
    Column("about", Text, primary_key=True, doc="a subject, or what failed"),
    Column("fact", Text, nullable=False, doc="a digest of what the person knows of it"),
    Column("open", Boolean, nullable=False, doc="the person may use it"),
    Column("at", Float, nullable=False),
)

drift = Table(
    "drift",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("at", Float, nullable=False, doc="when it was last looked for drift"),
    Column("seconds", Float, nullable=False, doc="how long that took"),
    Column("looked", Integer, nullable=False, doc="how many objects were settled then"),
    Column("differing", JSON, nullable=False, doc="the keys of those that differed"),
    Column("closing", Integer, nullable=False, doc="of these, to be closed or removed"),
    Column("failing", Integer, nullable=False, doc="settled objects with another error"),
    Column("error", Text, doc="why the handler could not be asked"),
    Column("found", Integer, nullable=False, doc="all that ever differed"),
    Column("repaired", Integer, nullable=False, doc="of these, as wanted at a later look"),
    Column("asked", Float, doc="when a repair was last asked for"),
    Column("repairs", JSON, nullable=False, server_default="{}", doc="and of each that differed"),
)

idle = Table(
    "idle",
    metadata,
    Column("person", Text, primary_key=True),
    Column("since", Float, doc="when they were first warned; null: they are not"),
    Column("stage", Integer, doc="how many days before the end they were last warned"),
    Column("told", Float, doc="when that was"),
    Column("message", Text, doc="the warning's id"),
    Column("heard", Boolean, nullable=False, doc="a server or the hook took that warning"),
    Column("asked", Text, doc="the own id of the service's request that closes them"),
    Column("seen", Float, doc="when all sources last said that they are idle"),
    Column("spared", Float, doc="when they were opened, or their closing was cancelled"),
)

quota = Table(
    "quota",
    metadata,
    Column("key", Text, primary_key=True),
    Column("what", Text, primary_key=True, doc="space or files"),
    Column("level", Float, nullable=False, doc="how full it was last: `quotas.levels`"),
    Column("told", Float, nullable=False, doc="the level of which people were last warned"),
    Column("at", Float, nullable=False),
)

quota_days = Table(
    "quota_days",
    metadata,
    Column("key", Text, primary_key=True),
    Column("what", Text, primary_key=True, doc="space or files"),
    Column("day", Integer, primary_key=True, doc="days since the epoch, UTC"),
    Column("used", BigInteger, nullable=False, doc="bytes or files"),
    Column("at", Float, nullable=False),
)
