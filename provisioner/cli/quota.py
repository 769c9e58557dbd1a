"""The verb `quota`: how full everything is, as bars, the fullest first.

Promises: each file system is asked once; the trend comes from the journal. Leaves out: who is
warned (`quotas.watch`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import paint, site
from provisioner.cli.exits import Exit

if TYPE_CHECKING:
    from provisioner.cli.paint import Line
    from provisioner.quotas.gauges import Gauge

_WIDTH = 20
_MOST = 30
"""The most lines without --all: a screen."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(quota)


def quota(
    subjects: list[str] = typer.Argument(
        None,
        metavar="[SUBJECT...]",
        help="only these people, projects, allocations, filesets or homes",
    ),
    whole: bool = typer.Option(
        False, "--all", help=f"more than the {_MOST} fullest, and what has no limit"
    ),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """Show what is used of each quota, the fullest first, and when it will be full."""
    from provisioner.quotas import gauges

    read = gauges.read(site.reading())
    chosen = [one for one in read.gauges if not subjects or _meant(one, subjects)]
    if as_json:
        plain = [_plain(one) for one in chosen]
        said = {"unread": dict(read.unread), "uncounted": list(read.uncounted)}
        site.print_json({"quotas": plain, **said})
    else:
        limited = [one for one in chosen if one.limited or whole or subjects]
        shown = limited if whole or subjects else limited[:_MOST]
        wide = max((len(_name(one)) for one in shown), default=0)
        paint.show(_line(one, wide) for one in shown)
        if len(shown) < len(chosen):
            site.say(f"and {len(chosen) - len(shown)} more: provisioner quota --all")
        if not chosen:
            site.say("nothing has a quota" + (" there" if subjects else ""))
        for name in () if subjects else read.uncounted:
            site.say(
                f"{name}: quotas of its users are not read: its setting `quotas` names no handler"
            )
        for name, why in read.unread.items():
            site.say(f"{name} could not be asked: {why}")
    if read.unread:
        raise typer.Exit(Exit.FAILED)


def _meant(one: Gauge, subjects: list[str]) -> bool:
    names = {one.key, one.key.rpartition("/")[2]}
    for owner in one.owners:
        names |= {owner.subject, owner.subject.partition(":")[2], owner.person, owner.project}
        names.add(f"project:{owner.project}")
        names.add(f"user:{owner.person}")
    return not {name.casefold() for name in names}.isdisjoint(s.casefold() for s in subjects)


def _name(one: Gauge) -> str:
    project = next((owner.project for owner in one.owners if owner.project), "")
    return f"{one.key} {project}".rstrip()


def _line(one: Gauge, wide: int) -> Line:
    from provisioner.quotas.watch import about, quota_facts

    facts = quota_facts(one, 0.0)
    share = one.percent
    filled = min(_WIDTH, round(share * _WIDTH / 100))
    style = "red" if share >= 95 else "yellow" if share >= 80 else "green"
    bar = "#" * filled + "-" * (_WIDTH - filled)
    limit = facts["soft"] or facts["hard"]
    said = f"{facts['used']} of {limit}" if limit else f"{facts['used']} (no limit)"
    if doubt := one.meter.in_doubt:
        said += f", {about(doubt) if one.meter.what == 'space' else f'{doubt:,}'} in doubt"
    if one.meter.grace:
        said += f", grace {one.meter.grace}"
    if facts["days"] is not None:
        said += f", full in about {site.many(int(str(facts['days'])), 'day')}"
    return (
        (f"{_name(one):{wide}}  {one.meter.what:5}  ", ""),
        (f"[{bar}]", style),
        (f" {share:4.0f} %  {said}", ""),
    )


def _plain(one: Gauge) -> dict[str, Any]:
    meter = one.meter
    return {
        "object": one.key,
        "what": meter.what,
        "path": meter.path,
        "subjects": [owner.subject for owner in one.owners],
        "project": next((owner.project for owner in one.owners if owner.project), None),
        "person": next((owner.person for owner in one.owners if owner.person), None),
        "managers": sorted({name for owner in one.owners for name in owner.managers}),
        "used": meter.used,
        "soft": meter.soft,
        "hard": meter.hard,
        "grace": meter.grace or None,
        "in_doubt": meter.in_doubt,
        "percent": round(one.percent, 1),
        "full_in_days": None if one.full is None else round(one.full, 1),
    }
