"""What a request means beside its changes: data that stays behind, a smaller limit, a leader.

Promises: reads the journal only. Leaves out: what is in use, which the backend knows (`plan`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from provisioner.cards.places import Place, places
from provisioner.contract import Claim, Json, Key, Want
from provisioner.contract.abilities import Describes, Restores, able
from provisioner.contract.late import without_late
from provisioner.journal.journal import Connection
from provisioner.journal.persons import newcomers
from provisioner.journal.queries import subjects
from provisioner.journal.records import ledger
from provisioner.request.request import Request
from provisioner.routing.rendering import Step, StepClaim
from provisioner.system import ulid
from provisioner.wiring import System


def notes(system: System, request: Request, planned: Sequence[Step]) -> list[str]:
    """Return what the sender of a request should know. planned: its steps."""
    project = request.values.get("project")
    with system.journal.reading() as conn:
        found = []
        if isinstance(project, dict):
            root = request.subject.partition("/")[0]
            before = places(conn, [root]).get(root) if root.startswith("allocation:") else None
            found += [*_leader(conn, project, before), *_moved(project, before)]
        return [*found, *_smaller(conn, system, planned)]


def _leader(conn: Connection, project: dict[str, Any], before: Place | None) -> Iterator[str]:
    pi = str(project.get("pi") or "")
    if not pi:
        return
    if before is not None and before.pi and before.pi != pi:
        yield f"project.pi: the leader changes: {before.pi} -> {pi}"
    if newcomers.unknown(conn, [pi]):
        nearest = subjects.nearest(conn, f"user:{pi}", None).partition(":")[2]
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        yield f"project.pi: {pi} is not known here: nothing is claimed for user:{pi}{meant}"


def _moved(project: dict[str, Any], before: Place | None) -> Iterator[str]:
    code = str(project.get("code") or "")
    if before is not None and before.code and before.code != code:
        yield (
            f"project.code: the project changes: {before.code} -> {code}. No data is moved: what "
            "the former project's places hold stays there, closed"
        )


def _smaller(conn: Connection, system: System, planned: Sequence[Step]) -> Iterator[str]:
    """Yield a line for each limit of an object with known use that becomes smaller."""
    for step in planned:
        handler = system.handlers.get(step.instance)
        if not (able(handler, Restores) and able(system.handlers.get(step.instance), Describes)):
            continue
        merge = system.handlers[step.instance].merge
        held = ledger.claims_of(conn, [claim.key for claim in step.claims])
        for claim in step.claims:
            key, before = claim.key, held.get(claim.key) or ()
            if before:
                was = handler.sets(key, merge(key, before, None))
                will = handler.sets(key, merge(key, _with(claim, before), None))
                yield from (_line(key, name) for name in will if _less(was, will, name))


def _with(claim: StepClaim, before: Sequence[Claim]) -> list[Claim]:
    others = [one for one in before if one.claimant != claim.claimant]
    want = cast(Want, without_late(claim.outline))
    return [*others, Claim(claim.claimant, want, order=ulid.new())]


def _line(key: Key, name: str) -> str:
    return f"{key}: {name} becomes smaller; `provisioner plan` says if it is below what is in use"


def _less(was: Any, will: Any, name: str) -> bool:
    before, after = (_number(limits.get(name)) for limits in (was, will))
    return before is not None and after is not None and after < before


def _number(limit: Json) -> float | None:
    last = limit[-1] if isinstance(limit, list | tuple) and limit else limit
    return float(last) if isinstance(last, int | float) else None
