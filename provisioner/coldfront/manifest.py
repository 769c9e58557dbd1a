"""The manifest: all that should be, in one file of lines, beside a small request that names it.

Promises: the file is whole and on disk before the request is; what is in it was read after
`as_of`; an allocation that lacks something today stands in it as it was asked for last. Leaves out:
the comparison, which is the service's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from provisioner.coldfront import mapping, options, outbox, snapshots
from provisioner.coldfront.models import NEW, Request
from provisioner.drop import drop, drop_companion

KEY = "reconcile"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is wanted now. problems: by subject, what somebody has to fill in."""

    as_of: datetime
    lines: tuple[Mapping[str, Any], ...]
    problems: Mapping[str, tuple[str, ...]]

    def body(self) -> bytes:
        """Write it as JSON Lines."""
        return b"".join(
            json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            for line in self.lines
        )


def read() -> Manifest:
    """Read all that should be, of one moment where the database can do that."""
    as_of = datetime.now(UTC)
    problems: dict[str, tuple[str, ...]] = {}
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # Each statement would else see what was committed until it began.
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        people: dict[str, mapping.Person] = {}
        allocations = list(_allocations(people, problems))
        projects = list(_projects(people, problems))
        # Who was asked for once stays, in no allocation too: an account is closed by hand.
        people |= {one.name: one for one in snapshots.people(outbox.asked_people() - people.keys())}
    lines = (*_people(people, problems), *projects, *allocations)
    return Manifest(as_of, lines, problems)


def send(manifest: Manifest) -> tuple[Request, str]:
    """Put the manifest and its request into staging; return the row and the manifest's name.

    Raises ConfigError or OSError when staging does not take them; nothing is left of it then, as
    the next manifest says more.
    """
    body = manifest.body()
    row = Request.objects.create(
        event="provisioner_reconcile", key=KEY, subject="site:", action="reconcile"
    )
    try:
        name = drop_companion(options.staging(), f"{outbox.request_id(row.number)}.jsonl", body)
        row.body = json.dumps(
            {
                "provisioner": 1,
                "action": "reconcile",
                "id": outbox.request_id(row.number),
                "order": {"key": KEY, "number": row.number},
                "as_of": manifest.as_of.isoformat(),
                "manifest": {
                    "file": name,
                    "size": len(body),
                    "sha256": hashlib.sha256(body).hexdigest(),
                },
            }
        )
        drop(options.staging(), f"{outbox.request_id(row.number)}.json", row.body.encode())
    except BaseException:
        Request.objects.filter(pk=row.pk, state=NEW).delete()
        raise
    outbox.mark_written(row)
    _note_left_out(manifest)
    return row, name


def _note_left_out(manifest: Manifest) -> None:
    """Remember whom the service will suspend, so that coming back is asked for at once."""
    listed = {int(line["allocation"]["id"]) for line in manifest.lines if "allocation" in line}
    asked = Request.objects.filter(action="allocation.provision").exclude(body="")
    left_out = set(asked.order_by().values_list("allocation", flat=True).distinct()) - listed
    outbox.note_suspended(sorted(left_out))


def _allocations(
    people: dict[str, mapping.Person], problems: dict[str, tuple[str, ...]]
) -> Iterator[Mapping[str, Any]]:
    chosen = options.mapping()
    lacking = []
    for facts in snapshots.allocations(snapshots.entitled()):
        wanted = mapping.provision(facts, chosen)
        if wanted is None:
            continue
        people |= {person.name: person for person in facts.users}
        if wanted.problems:
            problems[f"allocation:{facts.pk}"] = wanted.problems
        if wanted.document is not None:
            yield wanted.document
        else:
            lacking.append(mapping.key_of("allocation", facts.pk))
    yield from _asked_last(lacking, "allocation")


def _people(
    people: Mapping[str, mapping.Person], problems: dict[str, tuple[str, ...]]
) -> Iterator[Mapping[str, Any]]:
    for _, person in sorted(people.items()):
        wanted = mapping.provision_user(person)
        if wanted.document is None:
            problems[f"user:{person.name}"] = wanted.problems
        else:
            yield wanted.document


def _projects(
    people: dict[str, mapping.Person], problems: dict[str, tuple[str, ...]]
) -> Iterator[Mapping[str, Any]]:
    chosen = options.mapping()
    if not chosen.projects:
        return
    lacking = []
    for facts in snapshots.projects(snapshots.living_projects()):
        wanted = mapping.provision_project(facts, chosen)
        if wanted.problems:
            problems[f"project:{mapping.project_code(facts, chosen)}"] = wanted.problems
        people |= {person.name: person for person in facts.people}
        if wanted.document is not None:
            yield wanted.document
        else:
            lacking.append(mapping.key_of("project", facts.pk))
    yield from _asked_last(lacking, "project")


def _asked_last(keys: list[str], part: str) -> Iterator[Mapping[str, Any]]:
    """Say again what was asked for last of things that lack something today."""
    for row in outbox.last_asked(keys, f"{part}.provision").values():
        asked = json.loads(row.body)
        yield {"action": asked["action"], part: asked[part]}
