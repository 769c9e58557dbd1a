"""Verbs that steer the queue: each drops a control request, as everyone's do."""

from __future__ import annotations

from collections.abc import Callable

import typer

from provisioner.cli import site
from provisioner.documents import dump
from provisioner.drop import drop


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb, text in (
        ("retry", "Try a request that failed once more; one that waits is tried at once."),
        ("cancel", "Stop a request; what it already made stays."),
        ("hold", "Keep a request from going on."),
        ("release", "Let a held request go on."),
    ):
        app.command(verb, help=text)(_of_request(verb))
    app.command("pause", help="Stop a lane after the batch that is under way.")(_of_lane("pause"))
    app.command("unpause", help="Let a paused lane go on.")(_of_lane("unpause"))


def _of_request(verb: str) -> Callable[..., None]:
    def command(
        name: str = typer.Argument(..., metavar="ID", help="as `provisioner queue` prints it"),
        reason: str = typer.Option("", help="why, for those who look later"),
    ) -> None:
        _drop(f"request.{verb}", "request", name, reason)

    return command


def _of_lane(verb: str) -> Callable[..., None]:
    def command(
        name: str = typer.Argument(..., metavar="LANE", help="as `provisioner queue` prints it"),
        reason: str = typer.Option("", help="why, for those who look later"),
    ) -> None:
        _drop(f"lane.{verb}", "lane", name, reason)

    return command


def _drop(action: str, key: str, name: str, reason: str) -> None:
    request = {"provisioner": 1, "action": action, key: name}
    if reason:
        request["reason"] = reason
    staging = site.config().spool / "staging"
    verb = action.partition(".")[2]
    print(f"dropped as {drop(staging, f'{verb}.yaml', dump(request).encode())}")
