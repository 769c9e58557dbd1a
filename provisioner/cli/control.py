"""Verbs that control the queue: each drops a control request, like any other writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from provisioner.cli import choosing, site, submitting
from provisioner.cli.choosing import Filter
from provisioner.cli.exits import Exit
from provisioner.cli.options import Sending, flattened
from provisioner.cli.progress import looked_up
from provisioner.contract import InvalidRequest
from provisioner.objects.states import RequestState

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
        ids = _meant(verb, names, which, chosen)
        _ask(verb, ids, which.yes)
        _each(ids, lambda name: drop(f"request.{verb}", {"request": name}, reason, sending))

    return flattened(command)


def _meant(verb: str, names: Sequence[str], which: Which, chosen: Filter) -> list[str]:
    """Return the ids of the requests that a verb is about, before anything is dropped.

    Raises InvalidRequest if a name or the cause is no request's.
    """
    wanted = choosing.wanted(chosen, which.cause)
    narrowed = not wanted.everything
    selecting = which.every or narrowed
    if bool(names) == selecting:
        raise typer.BadParameter("give one of: ID..., --cause CAUSE, --all, or what they are about")
    if names:
        return [_known(name) for name in names]
    wanted = replace(wanted, states=wanted.states or STATES[verb])
    ids = choosing.fitting(wanted)
    if not ids and which.cause:
        what = "nothing that failed" if verb in _OF_FAILED else f"nothing to {verb}"
        raise InvalidRequest(
            f"{what} has the cause {which.cause!r}",
            field="cause",
            expected="a cause as `provisioner failed` or `provisioner queue --shape` prints it",
        )
    if not ids:
        all_failed = verb in _OF_FAILED and not narrowed
        text = "nothing that failed or was refused needs a person" if all_failed else ""
        site.say(text or f"nothing to {verb}" + (" matches the filter" if narrowed else ""))
    return ids


def _known(name: str) -> str:
    """Return the id of the request that a name means, before anything is dropped.

    A caller who may not read the journal leaves that to the service. Raises InvalidRequest if there
    is none, or more than one.
    """
    record = looked_up(name)
    return name if record is None else record.id


def _ask(verb: str, ids: Sequence[str], yes: bool) -> None:
    """Ask a person before a verb steers many requests. Raises typer.Abort if the answer is no."""
    if len(ids) > _MANY and not yes:
        typer.confirm(f"{verb} {len(ids)} requests?", abort=True, err=True)


def _each(ids: Sequence[str], steer: Callable[[str], None]) -> None:
    """Steer each of some requests; end with the worst of their codes."""
    codes = [Exit.OK]
    for request in ids:
        try:
            steer(request)
        except typer.Exit as end:
            codes.append(Exit(end.exit_code))
    if max(codes) != Exit.OK:
        raise typer.Exit(max(codes))


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
    ids = _meant("release", names, which, chosen)
    _ask("release", ids, which.yes)
    _each(ids, lambda name: _release(name, digest, reason, sending))


def _release(name: str, digest: str, reason: str, sending: Sending) -> None:
    target = {"request": name}
    seen = looked_up(name)
    if seen is not None:
        if digest not in ("", seen.digest):
            raise InvalidRequest(
                f"{seen.id} has the digest {seen.digest}, not {digest}",
                field="digest",
                expected=f"what `provisioner show {seen.id}` prints",
            )
        submitting.describe(seen)
        target, digest = {"request": seen.id}, seen.digest
    if digest:
        target["digest"] = digest
    drop("request.release", target, reason, sending)


def _of_lane(verb: str) -> Callable[..., None]:
    def command(
        name: str = typer.Argument(..., metavar="LANE", help="as `provisioner queue` prints it"),
        reason: str = REASON,
        sending: Sending = SOON,
    ) -> None:
        drop(f"lane.{verb}", {"lane": name}, reason, sending)

    return flattened(command)


def drop(action: str, target: dict[str, str], reason: str, sending: Sending) -> None:
    """Drop a control request."""
    from provisioner.request.documents import dump
    from provisioner.request.request import parse_request

    request: dict[str, str | int] = {"provisioner": 1, "action": action, **target}
    if reason:
        request["reason"] = reason
    body = dump(request).encode()
    parse_request(body)  # so that an invalid request fails here at once
    verb = action.partition(".")[2]
    if verb == "retry" and sending.wait:
        _retry(target["request"], body, sending)
    submitting.send(f"{verb}.yaml", body, sending)


def _retry(name: str, body: bytes, sending: Sending) -> None:
    """Retry a refused request, and follow its file, which gets a new id from staging.

    Return without doing anything if the request is not a refused one.
    """
    from provisioner.cli.progress import wait_for
    from provisioner.system import ulid

    try:
        target = looked_up(name)
    except InvalidRequest:  # the service says so
        return
    if target is None or target.state != RequestState.REFUSED:
        return
    since = ulid.new()[:10]
    try:
        submitting.send("retry.yaml", body, sending)
    except typer.Exit as end:
        if end.exit_code != Exit.OK:
            raise
    raise typer.Exit(wait_for(site.staging() / target.name, since, sending.timeout))
