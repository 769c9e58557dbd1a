"""Verbs that control the queue: each drops a control request, like any other writer."""

from __future__ import annotations

from collections.abc import Callable

import typer

from provisioner.cli import site, submitting
from provisioner.cli.exits import Exit
from provisioner.cli.options import Sending, flattened
from provisioner.cli.progress import looked_up
from provisioner.contract import InvalidRequest
from provisioner.objects.states import RequestState

_OF_REQUESTS = {
    "retry": "Retry a failed request; a waiting one is tried at once.",
    "cancel": "Stop a request; what it already made stays.",
    "hold": "Stop a request until it is released.",
}
_OF_LANES = {
    "pause": "Stop a lane after the batch under way.",
    "unpause": "Let a paused lane continue.",
}

_ID = typer.Argument(
    ..., metavar="ID", help="its id or the beginning of it, or its writer's own id"
)
REASON = typer.Option("", help="why, for the record")
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
    def command(name: str = _ID, reason: str = REASON, sending: Sending = SOON) -> None:
        drop(f"request.{verb}", {"request": name}, reason, sending)

    return flattened(command)


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
