"""Verbs that control the queue: each drops a control request, like any other writer."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import choosing, files, finding, site, submitting
from provisioner.cli.choosing import Filter
from provisioner.cli.finding import looked_up
from provisioner.cli.options import Sending, flattened
from provisioner.contract import ConfigError, InvalidRequest, validation
from provisioner.objects.states import ENDED, RequestState
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.journal.records.request_rows import Record

_OF_REQUESTS = {
    "cancel": "Stop a request; what it already made stays.",
    "hold": "Stop a request until it is released.",
    "retry": "Retry failed requests; a waiting one is tried at once.",
    "dismiss": "Put away what failed or was refused and nobody will fix; it stays as it ended.",
}
_OF_LANES = {
    "pause": "Stop a lane after the batch under way.",
    "unpause": "Let a paused lane continue.",
}

_NAME = "its id, the beginning or end of it, its writer's own id, or its file's name"
_IDS = typer.Argument(None, metavar="[ID...]", help=_NAME)

_MANY = 10
"""More requests than this are steered only after a question, or with --yes."""

REASON = typer.Option("", help="why, for the record")

_WAITING = (RequestState.DEFERRED, RequestState.ACCEPTED, RequestState.SCHEDULED)
STATES: Mapping[str, tuple[RequestState, ...]] = {
    "retry": (RequestState.FAILED, RequestState.REFUSED),
    "dismiss": (RequestState.FAILED, RequestState.REFUSED),
    "hold": _WAITING,
    "release": (RequestState.HELD,),
    "cancel": (RequestState.HELD, *_WAITING),
}
"""The states of the requests that a verb is about, if no others are asked for."""


_OF_FAILED = ("retry", "dismiss")

_ALSO = {"retry": (RequestState.CANCELLED, *_WAITING)}
"""The states that a verb is also for if a request is named."""


@dataclass(frozen=True, slots=True)
class Which:
    """Which requests a verb is about, if they are not named."""

    cause: Annotated[
        str, typer.Option(help="all with this cause, as `failed` and `queue --shape` print it")
    ] = ""
    every: Annotated[bool, typer.Option("--all", help="all that the verb can be about")] = False
    yes: Annotated[
        bool, typer.Option("--yes", help=f"do not ask before more than {_MANY} requests")
    ] = False


NAMED = Which()
SOON = Sending(timeout=60.0)
"""Defaults of verbs that control the queue: the service carries them out at once."""


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb, text in _OF_REQUESTS.items():
        app.command(verb, help=text)(_of_request(verb))
    app.command()(flattened(release))
    for verb, text in _OF_LANES.items():
        app.command(verb, help=text)(_of_lane(verb))


def _of_request(verb: str) -> Callable[..., None]:
    def command(
        names: list[str] = _IDS,
        which: Which = NAMED,
        chosen: Filter = choosing.ALL,
        reason: str = REASON,
        sending: Sending = SOON,
    ) -> None:
        meant = _meant(verb, names, which, chosen)
        _ask(verb, meant, which.yes)
        _steer(verb, meant, reason, sending)

    return flattened(command)


@dataclass(frozen=True, slots=True)
class Meant:
    """One request that a verb is about. record: None if the caller may not read the journal;
    typed: what was typed to name it."""

    name: str
    record: Record | None = None
    digest: str = ""
    typed: str = ""

    def body(self, verb: str, reason: str) -> bytes:
        """Return the request that steers it."""
        target = {"request": self.name, **({"digest": self.digest} if self.digest else {})}
        return _body(f"request.{verb}", target, reason)


def _meant(verb: str, names: Sequence[str], which: Which, chosen: Filter) -> list[Meant]:
    """Return the requests that a verb is about, before anything is dropped.

    Raises InvalidRequest if a name or the cause is no request's, or the verb is not for one.
    """
    wanted = choosing.wanted(chosen, which.cause)
    narrowed = not wanted.everything
    selecting = which.every or narrowed
    if bool(names) == selecting:
        raise typer.BadParameter("give one of: ID..., --cause CAUSE, --all, or what they are about")
    if names:
        return [_known(verb, name) for name in names]
    wanted = replace(wanted, states=wanted.states or STATES[verb])
    fitting = choosing.fitting(wanted)
    if not fitting and which.cause:
        what = "nothing that failed" if verb in _OF_FAILED else f"nothing to {verb}"
        raise InvalidRequest(
            f"{what} has the cause {which.cause!r}",
            field="cause",
            expected="a cause as `provisioner failed` or `provisioner queue --shape` prints it",
        )
    if not fitting:
        all_failed = verb in _OF_FAILED and not narrowed
        text = "nothing that failed or was refused needs a person" if all_failed else ""
        site.say(text or f"nothing to {verb}" + (" matches the filter" if narrowed else ""))
    aside = [record for record in fitting if verb == "retry" and record.set_aside]
    for record in aside:
        site.say(f"left out: {_in_quarantine(record)}", file=sys.stderr)
    return [Meant(record.id, record) for record in fitting if record not in aside]


def _known(verb: str, name: str) -> Meant:
    """Return the request that a name means, before anything is dropped.

    A caller who may not read the journal leaves that to the service. Raises InvalidRequest if there
    is none, or more than one, or it is over and the verb is not for that.
    """
    record = looked_up(name)
    if record is None:
        return Meant(name)
    if verb == "retry" and record.set_aside:
        raise InvalidRequest(_in_quarantine(record))
    allowed = (*STATES[verb], *_ALSO.get(verb, ()))
    if record.state in ENDED and record.state not in allowed:
        raise InvalidRequest(
            f"{record.id} is {record.state}: there is nothing to {verb}",
            field="request",
            expected=f"one that is {' or '.join(allowed)}",
        )
    return Meant(record.id, record, typed=name)


def _in_quarantine(record: Record) -> str:
    """Return why a retry cannot take a request up, and what can."""
    places = site.config().spool
    file = shlex.quote(str(files.path_of(places, record)))
    return (
        f"{record.id} was never read, and a retry does not take it from quarantine/: once "
        f"`provisioner show {record.id}` shows why, mv {file} {shlex.quote(str(places))}/staging/"
    )


def _ask(verb: str, ids: Sequence[Meant], yes: bool) -> None:
    """Ask a person before a verb steers many requests. Raises typer.Abort if the answer is no."""
    if len(ids) > _MANY and not yes:
        typer.confirm(f"{verb} {len(ids)} requests? (--yes does not ask)", abort=True, err=True)


def _steer(verb: str, meant: Sequence[Meant], reason: str, sending: Sending) -> None:
    """Drop the requests that steer others; follow what becomes of them if `sending` says so."""
    from provisioner.cli import retrying
    from provisioner.cli.outcomes import Asked, send_all

    records = [each.record for each in meant if each.record is not None]
    following = verb == "retry" and sending.wait and len(records) == len(meant)
    bodies = [each.body(verb, reason) for each in meant]
    if len(meant) == 1 and following:
        retrying.follow_one(records[0], bodies[0], sending)
    elif len(meant) == 1:
        submitting.send(f"{verb}.yaml", bodies[0], sending)
    elif meant:
        short = finding.short([record.id for record in records])
        asked = [
            Asked(short.get(RequestId(each.name), each.name), f"{verb}.yaml", body)
            for each, body in zip(meant, bodies, strict=True)
        ]
        if following:
            retrying.follow(records, asked, sending)
        send_all(asked, sending)


def release(
    names: list[str] = _IDS,
    which: Which = NAMED,
    chosen: Filter = choosing.ALL,
    digest: str = typer.Option(
        "", help="as `show` prints it; a request with another digest is not released"
    ),
    reason: str = REASON,
    sending: Sending = SOON,
) -> None:
    """Let held requests continue; prints whose each is and what it would change."""
    if digest and len(names or ()) != 1:
        raise typer.BadParameter("--digest is that of one request: give one ID")
    meant = _meant("release", names, which, chosen)
    _ask("release", meant, which.yes)
    _steer("release", [_looked_at(each, digest) for each in meant], reason, sending)


def _looked_at(meant: Meant, digest: str) -> Meant:
    """Describe a request that is to be released; return it with the digest of what was shown."""
    record = meant.record
    if record is None:
        return replace(meant, digest=digest)
    if not digest and meant.typed == record.name != record.writer_id:
        raise InvalidRequest(
            f"{record.name!r} is a file's name, and a newer file may have got it since you looked",
            field="request",
            expected=f"an id, such as {record.id}, once `provisioner show` has shown it",
        )
    if digest not in ("", record.digest):
        raise InvalidRequest(
            f"{record.id} has the digest {record.digest}, not {digest}",
            field="digest",
            expected=f"what `provisioner show {record.id}` prints",
        )
    submitting.describe(record)
    return replace(meant, digest=record.digest)


def _of_lane(verb: str) -> Callable[..., None]:
    def command(
        name: str = typer.Argument(..., metavar="LANE", help="as `provisioner queue` prints it"),
        reason: str = REASON,
        sending: Sending = SOON,
    ) -> None:
        _check_lane(name)
        drop(f"lane.{verb}", {"lane": name}, reason, sending)

    return flattened(command)


def _check_lane(name: str) -> None:
    """Raise InvalidRequest if there is no such lane; the service looks if the caller cannot."""
    try:
        lanes = sorted(set(site.system().lanes.values()))
    except ConfigError:
        return
    if name not in lanes:
        raise InvalidRequest(
            f"there is no lane {name!r}",
            field="lane",
            expected=", ".join(lanes),
            nearest=validation.nearest(name, lanes),
        )


def drop(action: str, target: dict[str, str], reason: str, sending: Sending) -> None:
    """Drop a control request."""
    submitting.send(f"{action.partition('.')[2]}.yaml", _body(action, target, reason), sending)


def _body(action: str, target: Mapping[str, str], reason: str) -> bytes:
    """Return a control request. Raises as the service would if it is wrong."""
    from provisioner.cli.asking import parsed
    from provisioner.request.documents import dump

    request: dict[str, str | int] = {"provisioner": 1, "action": action, **target}
    if reason:
        request["reason"] = reason
    parsed(request)  # so that an invalid request fails here at once
    return dump(request).encode()
