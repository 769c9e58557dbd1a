"""The verb `idle`: who will be warned or closed because they use nothing, when, and who says so.

Promises: asks the sources as a round does, and writes nothing. Leaves out: warning and closing
(`idle.rounds`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import paint, site
from provisioner.cli.exits import Exit

if TYPE_CHECKING:
    from provisioner.cli.paint import Line
    from provisioner.idle.standing import Person

_DAY = 86400.0


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(idle)


def idle(
    people: list[str] = typer.Argument(None, metavar="[PERSON...]", help="only these people"),
    whole: bool = typer.Option(False, "--all", help="also who is exempt or used something"),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """Show who will be warned or closed because they use nothing, and when."""
    from provisioner.idle import standing

    system, now = site.reading(), time.time()
    if system.config.idle.after is None:
        if as_json:
            site.print_json({"people": [], "problems": []})
        else:
            site.say(
                "nobody is closed for being idle: `idle.after` is not set in the configuration"
            )
        return
    look = standing.look(system, now)
    wanted = {name.removeprefix("user:") for name in people or ()}
    chosen = [one for one in look.people if not wanted or one.name in wanted]
    shown = [one for one in chosen if whole or _matters(one)]
    shown.sort(key=lambda one: (one.closed is None, one.outcome.closes, one.name))
    if as_json:
        plain = [_plain(one) for one in shown]
        site.print_json({"people": plain, "problems": list(look.problems)})
    else:
        wide = max((len(one.name) for one in shown), default=0)
        paint.show(_line(one, wide, now) for one in shown)
        if not shown:
            site.say("nobody is idle" + (" of these" if wanted else ""))
        if len(shown) < len(chosen):
            site.say(f"and {site.many(len(chosen) - len(shown), 'other')}: provisioner idle --all")
        for problem in look.problems:
            site.say(f"nobody is warned or closed: {problem}")
    if look.problems:
        raise typer.Exit(Exit.FAILED)


def _matters(one: Person) -> bool:
    from provisioner.idle.decide import Step

    return one.closed is not None or one.step is not Step.NONE


def _what(one: Person) -> tuple[str, str]:
    """Return what becomes of a person, in words and a colour."""
    from provisioner.idle.decide import Step

    day = _day(one.outcome.closes)
    if one.closed is not None:
        back = f"provisioner resume {one.name} --cause idle"
        return f"closed since {_day(one.closed)}; to open: {back}", "red"
    if one.exempt:
        return f"exempt: {one.exempt}", ""
    if one.asked is not None:
        return f"closing is {one.asked.state}: provisioner show {one.asked.id}", "red"
    match one.step:
        case Step.NONE:
            return f"not idle; {day} if nothing more is used", ""
        case Step.CLOSE:
            return "closed in the next round", "red"
        case Step.UNHEARD:
            return "not closed: nobody took the last warning (provisioner mail queue)", "yellow"
        case Step.WARN:
            return f"warned in the next round; closed on {day} at the earliest", "yellow"
        case Step.WAIT:
            stage = site.many(one.outcome.stage or 0, "day")
            return f"closed on {day}; warned {stage} before", "yellow"


def _line(one: Person, wide: int, now: float) -> Line:
    use = one.use
    said = "never seen"
    if use is not None:
        days = max(0, int((now - use.noted) / _DAY))
        said = f"used {_day(use.noted)} ({use.source}, {site.many(days, 'day')} ago)"
    what, style = _what(one)
    return ((f"{one.name:{wide}}  {said}  ", ""), (what, style))


def _day(at: float) -> str:
    from provisioner.outcome.results import moment

    return moment(at)[:10]


def _plain(one: Person) -> dict[str, Any]:
    from provisioner.outcome.results import moment

    use = one.use
    return {
        "person": one.name,
        "step": "closed" if one.closed is not None else str(one.step),
        "exempt": one.exempt or None,
        "used": None if use is None else moment(use.noted),
        "source": None if use is None else use.source,
        "served_since": moment(one.since),
        "closes": moment(one.outcome.closes),
        "warned": one.kept.stage,
        "closed": None if one.closed is None else moment(one.closed),
        "request": None if one.asked is None else one.asked.id,
    }
