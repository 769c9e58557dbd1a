"""What a verb gets, and what it leaves to be done.

Promises: plain values. Leaves out: what each verb does (`verbs`, `access`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provisioner.contract import Key
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import request_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.objects.states import RequestState
from provisioner.request.request import Request
from provisioner.steps import binding
from provisioner.system.ulid import RequestId

AWAITED = 20_000
"""The most objects for which a look waits and that its result lists; more are only counted."""


@dataclass(slots=True)
class Effect:
    """What remains to be done after a verb.

    keys: objects that the request waits for, with their instances; notes: what its writer should
    know; advance: other requests whose steps may begin; ended: other requests that have their
    outcome; reopened: others whose files move, such as back to `active/`; readmitted: others to be
    judged and accepted again; lanes: True to pause a lane, False to unpause it; released: the
    service may write again; unmatched: there was nothing for it to do, as a note says; portions:
    the rest is done in commits of their own (`manifests.everything`).
    """

    keys: Mapping[Key, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    advance: list[RequestId] = field(default_factory=list)
    held: list[RequestId] = field(default_factory=list)
    ended: dict[RequestId, RequestState] = field(default_factory=dict)
    reopened: list[RequestId] = field(default_factory=list)
    resubmitted: list[RequestId] = field(default_factory=list)
    readmitted: list[RequestId] = field(default_factory=list)
    lanes: dict[str, bool] = field(default_factory=dict)
    released: bool = False
    unmatched: bool = False
    portions: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """Who asks for what, and when.

    id: the asking request's own; lanes: lane of each instance; seeker: what they may know of
    others' requests; has_file: returns True if a refused request's file can go through staging
    again; on_behalf_of: the person behind the writer, if that is believed.
    """

    id: RequestId
    writer: str
    request: Request
    now: float
    lanes: Mapping[str, str]
    progress: binding.Progress
    seeker: Seeker
    has_file: Callable[[request_rows.Record], bool]
    on_behalf_of: str | None = None

    @property
    def turn(self) -> Turn:
        """In whose turn its objects are looked at, from now on."""
        return Turn(self.now, self.writer)

    @property
    def by(self) -> str:
        """Who asks, as text."""
        return request_rows.asker(self.writer, self.on_behalf_of)
