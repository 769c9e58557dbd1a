"""What this app adds to ColdFront 2's pages: an entry in the menu, and to an allocation its users.

Promises: an error here never breaks ColdFront's own page; the log has its traceback. Somebody who
is neither staff nor the project's owner reads their own line, in plain words. Leaves out: one
user's line, places and words, which are those of ColdFront 1's pages.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from coldfront.plugins import PluginTemplateExtension
from coldfront.plugins.navigation import PluginMenu, PluginMenuItem
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from provisioner.coldfront.answering import answers, news, stands
from provisioner.coldfront.asking import earlier, mapping, options
from provisioner.coldfront.pages import access, lines, people, places
from provisioner.coldfront2 import mapping as ours
from provisioner.coldfront2 import reading

log = logging.getLogger(__name__)

MOST = 200

LIST = "plugins:coldfront2:requests"

MENU = PluginMenu(
    label="Provisioning",
    groups=(("Requests", (PluginMenuItem(link=LIST, link_text="Provisioning", staff_only=True),)),),
)


class OnAllocation(PluginTemplateExtension):
    """The state of an allocation's users, on its page."""

    models = ["ras.allocation"]

    def alerts(self) -> str:
        """Return the notice at the top of the page."""
        return self._shown("notice")

    def right_page(self) -> str:
        """Return the section with the users."""
        return self._shown("of_allocation")

    def _shown(self, name: str) -> str:
        allocation, user = self.context["object"], self.context["request"].user
        try:
            # With ATOMIC_REQUESTS, a missing table would otherwise break the page's transaction.
            with transaction.atomic():
                section = of_allocation(user, allocation)
                if section is None:
                    return ""
                address = reverse(LIST) if section["staff"] else ""
                about = {"section": section, "about": allocation, "list": address}
                values = {**about, "what": "this allocation", "several": False}
                return str(_rendered(name, values))
        except Exception:
            log.exception("provisioner: failed to build the Provisioning section of a page")
            return "" if name == "notice" else str(_rendered("broken", {}))


def _rendered(name: str, values: Mapping[str, Any]) -> SafeString:
    text: SafeString = render_to_string(f"provisioner_coldfront/{name}.html", values)
    return text


def of_allocation(user: Any, allocation: Any) -> Mapping[str, Any] | None:
    """Return what the page of an allocation shows; None if this reader may see none of it."""
    role = _role(user, allocation.project)
    if role == "none":
        return None
    key = mapping.key_of("allocation", allocation.pk)
    standings = sorted(stands.read(stands.of([key]), done=True).items(), key=_first)
    if role == "member":
        standings = [standing for standing in standings if standing[0][1] == user.username]
    missing = _missing(role, allocation)
    if not standings and not missing:
        return None
    shown = standings[:MOST]
    names = {allocation.pk: str(allocation.resource_object)}
    closers = {one.shut.by for _, one in shown if one.shut}
    full = people.full_names({name for (_, name), _ in shown} | closers)
    about = lines.About(role, names, full, {allocation.pk: _ended(allocation)})
    heads = tuple(dict.fromkeys(h for _, one in shown for h in lines.cells(role, one.parts)))
    drawn = tuple(lines.line(about, at, one, heads) for at, one in shown)
    failed = sum(one.stand.state == answers.FAILED for _, one in standings)
    waiting = sum(one.stand.state == answers.WAITING for _, one in standings)
    causes = lines.causes(drawn)
    usable = any(one.stand.state == answers.READY for _, one in standings)
    return {
        "role": role,
        "staff": role == "staff",
        "lines": drawn,
        "columns": heads,
        "missing": missing,
        "approved": allocation.status in (ours.APPROVED, ours.ACTIVE, ours.RENEW),
        "blocked": bool(missing),
        "more": len(standings) - len(shown),
        "people": len(standings),
        "failed": failed,
        "waiting": waiting,
        "unready": failed + waiting,
        "causes": causes,
        "alarms": tuple(cause for cause in causes if cause.failed)[:3],
        "places": tuple(places.read([allocation.pk], names).values()) if usable else (),
        "help": options.help_address() if failed + waiting and role != "staff" else "",
        "news": news.read(),
    }


def _role(user: Any, project: Any) -> access.Role:
    """Return the role in which a user looks at a project: its owner looks after it."""
    if access.sees(user):
        return "staff"
    if project.owner_id == user.pk:
        return "manager"
    return "member" if project.users.filter(user=user.pk).exists() else "none"


def _ended(allocation: Any) -> str:
    """Return why an allocation has ended, if it has."""
    [facts] = reading.read([allocation.pk])
    if ours.entitled(facts):
        return lines.INACTIVE
    return f"the allocation is {ours.ended(facts.status, over=facts.over)}"


def _missing(role: access.Role, allocation: Any) -> tuple[Mapping[str, str], ...]:
    """Return what has to be filled in: for staff each problem, for owners only that there is one.

    Staff see it before they approve an allocation. Members see none of it.
    """
    if role == "member" or allocation.status in ("denied", "revoked", "expired"):
        return ()
    key = mapping.key_of("allocation", allocation.pk)
    told = earlier.last([key]).get(key)
    problems: list[str] = list(told.problems) if told is not None else []
    for facts in reading.read([allocation.pk]):
        wanted = ours.provision(facts, options.mapping(), paths=reading.paths())
        problems = [*(wanted.problems if wanted is not None else ()), *problems]
    where = str(allocation.resource_object)
    if role == "manager" and problems:
        return ({"where": where, "text": "the centre's staff still have to fill something in."},)
    return tuple({"where": where, "text": text} for text in dict.fromkeys(problems))


_Standing = tuple[tuple[int, str], stands.UserStand]
_ORDER = (answers.FAILED, answers.WAITING, answers.CLOSED, answers.READY)


def _first(found: _Standing) -> tuple[int, str]:
    (_, who), one = found
    return _ORDER.index(one.stand.state), who
