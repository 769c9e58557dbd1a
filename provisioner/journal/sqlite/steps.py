"""Steps: what makes the tables of one version of a journal in SQLite those of the next.

Promises: plain SQL; a step never changes once it is released, so that a journal of any age takes
them in order. Leaves out: the current tables (`schema`), and running the steps (`migrations`).
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable

from provisioner.journal import audit
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

_compact = json.JSONEncoder(separators=(",", ":")).encode

Step = Callable[[sqlite3.Connection], None]
"""Brings a database from one version to the next, inside a transaction."""


def _second(db: sqlite3.Connection) -> None:
    """Version 2: events become a chain, policy can hold requests, and `marks` is new."""
    db.execute("ALTER TABLE requests ADD COLUMN held_by TEXT")
    db.execute("ALTER TABLE requests ADD COLUMN approved_by TEXT")
    db.execute(
        "CREATE TABLE companions (request TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (request))"
    )
    db.execute("CREATE TABLE marks (name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name))")
    db.execute("INSERT INTO marks VALUES ('journal', ?), ('position', '0')", [ulid.new()])
    db.execute("ALTER TABLE events RENAME TO old_events")
    db.execute("DROP INDEX events_request")
    db.execute(
        "CREATE TABLE events (seq INTEGER NOT NULL, at FLOAT NOT NULL, request TEXT, "
        "kind TEXT NOT NULL, text TEXT NOT NULL, subject TEXT, facts TEXT, "
        "previous TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (seq))"
    )
    db.execute("CREATE INDEX events_request ON events (request)")
    seq, previous, last = 0, audit.GENESIS, 0.0
    added = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

    def chain(
        at: float, request: RequestId | None, kind: str, text: str, *more: str | None
    ) -> None:
        nonlocal seq, previous
        subject, facts = more or (None, None)
        seq += 1
        row = {"seq": seq, "at": at, "request": request, "kind": kind, "text": text}
        row |= {"subject": subject, "facts": facts, "previous": previous}
        previous = audit.seal(row)
        db.execute(added, [*row.values(), previous])

    old = db.execute("SELECT at, request, kind, text FROM old_events ORDER BY seq")
    for at, request, kind, text in old:
        chain(at, request, kind, text)
        last = at
    # Only the rows of the requests told who asked for what.
    columns = ("id", "name", "writer", "uid", "action", "digest", "state", "subject")
    rows = db.execute(f"SELECT {', '.join(columns)} FROM requests ORDER BY id")
    for values in rows.fetchall():
        row = dict(zip(columns, values, strict=True))
        facts = _compact(audit.arrival(row, "").facts)
        chain(last, row["id"], "migrated", "from a journal without a chain", row["subject"], facts)
    db.execute("DROP TABLE old_events")


def _third(db: sqlite3.Connection) -> None:
    """Version 3: the person behind a portal, and how an existing object was taken over."""
    db.execute("ALTER TABLE requests ADD COLUMN on_behalf_of TEXT")
    db.execute("ALTER TABLE objects ADD COLUMN found TEXT")


def _fourth(db: sqlite3.Connection) -> None:
    """Version 4: an object's identity, such as its number, when it was last as wanted."""
    db.execute("ALTER TABLE objects ADD COLUMN identity JSON")
    # A merge patch drops the keys that are null.
    db.execute(
        "UPDATE objects SET identity = json_patch('{}', json_object('uid', "
        "json_extract(state, '$.uid'), 'gid', json_extract(state, '$.gid'), 'sid', "
        "json_extract(state, '$.sid'))) WHERE converged = generation "
        "AND json_extract(state, '$.present') AND coalesce(json_extract(state, '$.uid'), "
        "json_extract(state, '$.gid')) IS NOT NULL"
    )


def _fifth(db: sqlite3.Connection) -> None:
    """Version 5: the users of a request can come in a file of their own."""
    db.execute("ALTER TABLE requests ADD COLUMN listed TEXT")


def _sixth(db: sqlite3.Connection) -> None:
    """Version 6: which settings claims have made on an object, and their values before."""
    db.execute("ALTER TABLE objects ADD COLUMN applied JSON")


def _seventh(db: sqlite3.Connection) -> None:
    """Version 7: whose claim a claim took over; for existing claims, any request is possible."""
    db.execute("ALTER TABLE claims ADD COLUMN former TEXT")
    db.execute("UPDATE claims SET former = request")


def _eighth(db: sqlite3.Connection) -> None:
    """Version 8: facts that were parsed out of texts have columns of their own."""
    db.execute("ALTER TABLE objects RENAME COLUMN found TO adoption")
    db.execute("ALTER TABLE steps ADD COLUMN withdraws BOOLEAN NOT NULL DEFAULT 0")
    db.execute("UPDATE steps SET withdraws = 1 WHERE NOT routed AND name LIKE 'withdraw from %'")
    for column in ("for_review BOOLEAN", "set_aside BOOLEAN", "duplicate_of TEXT"):
        db.execute(f"ALTER TABLE requests ADD COLUMN {column}")
    db.execute("UPDATE requests SET for_review = 1 WHERE held_by = 'the policy'")
    rows = db.execute("SELECT id, problems FROM requests WHERE problems IS NOT NULL").fetchall()
    for request, text in rows:
        problems = json.loads(text) or []
        if any("place" in problem for problem in problems):
            db.execute("UPDATE requests SET set_aside = 1 WHERE id = ?", [request])
        for problem in problems:
            repeated = _REPEATED.search(problem["message"]) if problem.get("key") == "id" else None
            if repeated is not None and problem.get("line") is None:
                change = "UPDATE requests SET duplicate_of = ? WHERE id = ?"
                db.execute(change, [repeated["id"], request])


_REPEATED = re.compile(
    r"(?:\Athe same request as|is) (?P<id>[0-9A-Z]{26}),"
    r" (?:which is [a-z]+|[a-z]+, with other content)\Z"
)
"""The message to a request whose own id an earlier request already had."""


def _ninth(db: sqlite3.Connection) -> None:
    """Version 9: an index finds requests by their subject."""
    db.execute("CREATE INDEX requests_subject ON requests (subject)")


def _tenth(db: sqlite3.Connection) -> None:
    """Version 10: the numbers of accounts and groups stay known after their objects are gone."""
    db.execute(
        "CREATE TABLE numbers (kind TEXT NOT NULL, number BIGINT NOT NULL, "
        '"key" TEXT NOT NULL, PRIMARY KEY (kind, number, "key"))'
    )
    # The identity of an object that nobody claims is forgotten; its last state is not.
    for column in ("identity", "state"):
        uid, gid = (f"json_extract({column}, '$.{kind}')" for kind in ("uid", "gid"))
        for kind, value, like in (
            ("uid", uid, "*/account/*"),
            ("gid", gid, "*/group/*"),
            ("gid", f"CASE WHEN {gid} = {uid} THEN {gid} END", "*/account/*"),
        ):
            db.execute(
                f"INSERT OR IGNORE INTO numbers SELECT '{kind}', {value}, \"key\" FROM objects "
                f"WHERE \"key\" GLOB '{like}' AND typeof({value}) = 'integer' AND converged > 0"
            )


def _eleventh(db: sqlite3.Connection) -> None:
    """Version 11: which request put right what had failed, and which request one replaces."""
    db.execute("ALTER TABLE requests ADD COLUMN fixed_by TEXT")
    db.execute("ALTER TABLE requests ADD COLUMN replaces TEXT")
    db.execute(
        "UPDATE requests SET fixed_by = (SELECT min(later.id) FROM requests AS later WHERE "
        "later.state = 'done' AND later.duplicate_of IS NULL AND later.id > requests.id "
        "AND later.subject = requests.subject AND later.action = requests.action) "
        "WHERE state IN ('failed', 'refused') AND subject <> ''"
    )
    unfixed = "+state IN ('failed', 'refused') AND (fixed_by IS NULL OR fixed_by = id)"
    db.execute(f"CREATE INDEX requests_unfixed ON requests (subject) WHERE {unfixed}")
    db.execute(f"CREATE INDEX requests_unfixed_name ON requests (name) WHERE {unfixed}")
    db.execute("CREATE INDEX requests_fixed_by ON requests (fixed_by) WHERE fixed_by IS NOT NULL")


def _twelfth(db: sqlite3.Connection) -> None:
    """Version 12: messages to people, and what each of them was told."""
    db.execute(
        "CREATE TABLE messages (id TEXT NOT NULL, channel TEXT NOT NULL, event TEXT NOT NULL, "
        "person TEXT NOT NULL, address TEXT NOT NULL, subject TEXT NOT NULL, facts JSON NOT NULL, "
        "state TEXT NOT NULL, made FLOAT NOT NULL, due FLOAT NOT NULL, attempts INTEGER NOT NULL, "
        "ended FLOAT, error TEXT, PRIMARY KEY (id))"
    )
    db.execute("CREATE INDEX messages_state ON messages (state, due)")
    db.execute(
        "CREATE TABLE told (person TEXT NOT NULL, about TEXT NOT NULL, fact TEXT NOT NULL, "
        "open BOOLEAN NOT NULL, at FLOAT NOT NULL, PRIMARY KEY (person, about))"
    )


def _thirteenth(db: sqlite3.Connection) -> None:
    """Version 13: the last look for drift at each handler."""
    db.execute(
        "CREATE TABLE drift (instance TEXT NOT NULL, at FLOAT NOT NULL, seconds FLOAT NOT NULL, "
        "looked INTEGER NOT NULL, differing JSON NOT NULL, closing INTEGER NOT NULL, "
        "failing INTEGER NOT NULL, error TEXT, found INTEGER NOT NULL, repaired INTEGER NOT NULL, "
        "asked FLOAT, PRIMARY KEY (instance))"
    )


def _fourteenth(db: sqlite3.Connection) -> None:
    """Version 14: when the access that a request gives ends, and by which request it ended."""
    db.execute("ALTER TABLE requests ADD COLUMN ends FLOAT")
    db.execute("ALTER TABLE requests ADD COLUMN ended_by TEXT")
    db.execute("CREATE INDEX requests_ends ON requests (ends) WHERE ends IS NOT NULL")


def _fifteenth(db: sqlite3.Connection) -> None:
    """Version 15: how full quotas are, what people were warned of, and a point a day."""
    db.execute(
        'CREATE TABLE quota ("key" TEXT NOT NULL, what TEXT NOT NULL, level FLOAT NOT NULL, '
        'told FLOAT NOT NULL, at FLOAT NOT NULL, PRIMARY KEY ("key", what))'
    )
    db.execute(
        'CREATE TABLE quota_days ("key" TEXT NOT NULL, what TEXT NOT NULL, day INTEGER NOT NULL, '
        'used BIGINT NOT NULL, at FLOAT NOT NULL, PRIMARY KEY ("key", what, day))'
    )


def _sixteenth(db: sqlite3.Connection) -> None:
    """Version 16: who uses nothing, and what they were warned of."""
    db.execute(
        "CREATE TABLE idle (person TEXT NOT NULL, since FLOAT, stage INTEGER, told FLOAT, "
        "message TEXT, heard BOOLEAN NOT NULL, asked TEXT, seen FLOAT, spared FLOAT, "
        "PRIMARY KEY (person))"
    )


def _seventeenth(db: sqlite3.Connection) -> None:
    """Version 17: in which summary a message went."""
    db.execute("ALTER TABLE messages ADD COLUMN summary TEXT")
    db.execute(
        "UPDATE messages SET summary = substr(error, 4) "
        "WHERE state = 'merged' AND error LIKE 'in summary-%'"
    )


def _eighteenth(db: sqlite3.Connection) -> None:
    """Version 18: whose requests a writer's name means, as a name may pass to another account."""
    db.execute(
        "CREATE TABLE writers (name TEXT NOT NULL, uid INTEGER NOT NULL, PRIMARY KEY (name))"
    )
    db.execute(
        "INSERT INTO writers SELECT writer, uid FROM requests WHERE writer NOT LIKE 'uid-%' AND id "
        "IN (SELECT max(id) FROM requests WHERE state <> 'refused' GROUP BY writer)"
    )


def _nineteenth(db: sqlite3.Connection) -> None:
    """Version 19: what manifests say of persons whom another writer asks for, too."""
    db.execute(
        "CREATE TABLE words (subject TEXT NOT NULL, writer TEXT NOT NULL, listed BOOLEAN NOT NULL, "
        "request TEXT NOT NULL, since FLOAT NOT NULL, kept TEXT, PRIMARY KEY (subject, writer))"
    )


def _twentieth(db: sqlite3.Connection) -> None:
    """Version 20: in which writer's turn an object is looked at."""
    db.execute("ALTER TABLE objects ADD COLUMN writer TEXT NOT NULL DEFAULT 'root'")
    db.execute(
        "UPDATE objects SET writer = (SELECT min(source) FROM claims WHERE key = objects.key) "
        "WHERE key IN (SELECT key FROM claims)"
    )
    db.execute("CREATE INDEX objects_turns ON objects (lane, writer, due) WHERE due IS NOT NULL")


def _twenty_first(db: sqlite3.Connection) -> None:
    """Version 21: which host has which lane, and which hosts there are."""
    db.execute(
        "CREATE TABLE holds (lane TEXT NOT NULL, epoch INTEGER NOT NULL, host TEXT, "
        "since FLOAT NOT NULL, PRIMARY KEY (lane))"
    )
    db.execute(
        "CREATE TABLE hosts (name TEXT NOT NULL, roles TEXT NOT NULL, version TEXT NOT NULL, since "
        "FLOAT NOT NULL, heard FLOAT NOT NULL, ahead FLOAT NOT NULL, PRIMARY KEY (name, roles))"
    )


def _twenty_second(db: sqlite3.Connection) -> None:
    """Version 22: in which intake's spool a file was taken, and what intakes have to remember."""
    db.execute("ALTER TABLE requests ADD COLUMN spool TEXT NOT NULL DEFAULT ''")
    db.execute(
        "CREATE TABLE spools (id TEXT NOT NULL, host TEXT NOT NULL, place TEXT NOT NULL, mark TEXT "
        "NOT NULL, served FLOAT NOT NULL, PRIMARY KEY (id))"
    )
    db.execute(
        "CREATE TABLE shutting (seq BIGINT NOT NULL, uid INTEGER NOT NULL, at FLOAT NOT NULL, "
        "told TEXT NOT NULL, teller TEXT NOT NULL, PRIMARY KEY (seq))"
    )


def _twenty_third(db: sqlite3.Connection) -> None:
    """Version 23: requests that hosts without a spool hand on."""
    db.execute(
        "CREATE TABLE handed (id TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, "
        "taker TEXT, PRIMARY KEY (id))"
    )


def _twenty_fourth(db: sqlite3.Connection) -> None:
    """Version 24: an index of the parts of steps that are not over."""
    db.execute(
        "CREATE INDEX step_objects_unended ON step_objects (request, state, step, item) "
        "WHERE state = 'waiting' OR state = 'due'"
    )


def _twenty_fifth(db: sqlite3.Connection) -> None:
    """Version 25: the date that a manifest says of a person whom another writer has."""
    db.execute("ALTER TABLE words ADD COLUMN ends FLOAT")
    db.execute("ALTER TABLE words ADD COLUMN ended_by TEXT")
    db.execute("CREATE INDEX words_ends ON words (ends) WHERE ends IS NOT NULL")


def _twenty_sixth(db: sqlite3.Connection) -> None:
    """Version 26: an index of the events that name new users."""
    db.execute("CREATE INDEX events_new_users ON events (at) WHERE kind = 'new-user'")


def _twenty_seventh(db: sqlite3.Connection) -> None:
    """Version 27: when a repair of each object that differs was last asked for."""
    db.execute("ALTER TABLE drift ADD COLUMN repairs JSON NOT NULL DEFAULT '{}'")


def _twenty_eighth(db: sqlite3.Connection) -> None:
    """Version 28: an index of the parts of steps that belong to users."""
    db.execute("CREATE INDEX step_objects_users ON step_objects (request, item) WHERE item <> ''")


def _twenty_ninth(db: sqlite3.Connection) -> None:
    """Version 29: from which request's manifest a request follows."""
    db.execute("ALTER TABLE requests ADD COLUMN follows TEXT")


STEPS: tuple[Step, ...] = (
    _second, _third, _fourth, _fifth, _sixth, _seventh, _eighth, _ninth, _tenth, _eleventh,
    _twelfth, _thirteenth, _fourteenth, _fifteenth, _sixteenth,
    _seventeenth, _eighteenth, _nineteenth, _twentieth,
    _twenty_first, _twenty_second, _twenty_third, _twenty_fourth, _twenty_fifth,
    _twenty_sixth, _twenty_seventh, _twenty_eighth, _twenty_ninth,
)  # fmt: skip
"""From version 1 to 2, from 2 to 3, and so on. A change of `schema` needs a migration here, in
plain SQL, the next number in `schema.VERSION`, and a dump of the version before in
`tests/support/journals/`."""
