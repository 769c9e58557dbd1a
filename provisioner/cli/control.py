"""Verbs that control the queue: each drops a control request, like any other writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from provisioner.cli import site, submitting
from provisioner.cli.exits import Exit
from provisioner.cli.failed import of_cause
from provisioner.cli.options import Sending, flattened
from provisioner.cli.progress import looked_up
from provisioner.contract import InvalidRequest
from provisioner.objects.states import RequestState

_OF_REQUESTS = {
    "cancel": "Stop a request; what it already made stays.",
    "hold": "Stop a request until it is released.",
}
_OF_LANES = {
    "pause": "Stop a lane after the batch under way.",
    "unpause": "Let a paused lane continue.",
}

_NAME = "its id or the beginning of it, its writer's own id, or its file's name"
_ID = typer.Argument(..., metavar="ID", help=_NAME)
_IDS = typer.Argument(..., metavar="ID...", help=_NAME)

_MANY = 10
"""More requests than this are steered only after a question, or with --yes."""

_YES = typer.Option(False, "--yes", help=f"do not ask before more than {_MANY} requests")
REASON = typer.Option("", help="why, for the record")


@dataclass(frozen=True, slots=True)
class Which:
    """Which failed requests a verb is about, if they are not named."""

    cause: Annotated[str, typer.Option(help="all with this cause, as `failed` prints it")] = ""
    every: Annotated[bool, typer.Option("--all", help="all that `failed` lists")] = False


NAMED = Which()
SOON = Sending(timeout=60.0)
"""Defaults of verbs that control the queue: the service carries them out at once."""


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb, text in _OF_REQUESTS.items():
        app.command(verb, help=text)(_of_request(verb))
    app.command()(flattened(retry))
    app.command()(flattened(release))
    for verb, text in _OF_LANES.items():
        app.command(verb, help=text)(_of_lane(verb))


def _of_request(verb: str) -> Callable[..., None]:
    def command(
        names: list[str] = _IDS,
        reason: str = REASON,
        yes: bool = _YES,
        sending: Sending = SOON,
    ) -> None:
        _steer(verb, [_known(name) for name in names], yes, reason, sending)

    return flattened(command)


def retry(
    names: list[str] = typer.Argument(None, metavar="[ID...]", help=_NAME),
    which: Which = NAMED,
    yes: bool = _YES,
    reason: str = REASON,
    sending: Sending = SOON,
) -> None:
    """Retry failed requests; a waiting one is tried at once."""
    if bool(names) + bool(which.cause) + which.every != 1:
        raise typer.BadParameter("give one of: ID..., --cause CAUSE, --all")
    ids = [_known(name) for name in names] if names else of_cause(which.cause)
    if not ids:
        site.say("nothing that failed or was refused needs a person")
    _steer("retry", ids, yes, reason, sending)


def _known(name: str) -> str:
    """Return the id of the request that a name means, before anything is dropped.

    A caller who may not read the journal leaves that to the service. Raises InvalidRequest if there
    is none, or more than one.
    """
    record = looked_up(name)
    return name if record is None else record.id


def _steer(verb: str, ids: Sequence[str], yes: bool, reason: str, sending: Sending) -> None:
    """Drop a control request for each of some requests; end with the worst of their codes."""
    if len(ids) > _MANY and not yes:
        typer.confirm(f"{verb} {len(ids)} requests?", abort=True, err=True)
    codes = [Exit.OK]
    for request in ids:
        try:
            drop(f"request.{verb}", {"request": request}, reason, sending)
        except typer.Exit as end:
            codes.append(Exit(end.exit_code))
    if max(codes) != Exit.OK:
        raise typer.Exit(max(codes))


def release(
    name: str = _ID,
    digest: str = typer.Option(
        "", help="as `show` prints it; a request with another digest is not released"
    ),
    reason: str = REASON,
    sending: Sending = SOON,
) -> None:
    """Let a held request continue; prints whose it is and what it would change."""
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
