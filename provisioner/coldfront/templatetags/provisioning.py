"""Tags for ColdFront's pages.

Promises: an error here never breaks ColdFront's own page; the log has its traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import template
from django.db import transaction
from django.template import Context, Node, TemplateSyntaxError
from django.template.base import Parser, Token
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from provisioner.coldfront.asking import options
from provisioner.coldfront.pages import access, approvals, sections

log = logging.getLogger(__name__)

register = template.Library()


@dataclass(frozen=True, slots=True)
class Shown:
    """The HTML that is added to a page: a notice at its top, and a section at its end."""

    notice: str = ""
    section: str = ""


@register.simple_tag(takes_context=True)
def provisioning_of_allocation(context: Context) -> Shown:
    """Return what the page of an allocation shows about its users."""
    return _shown(context, "allocation", sections.of_allocation)


@register.simple_tag(takes_context=True)
def provisioning_of_project(context: Context) -> Shown:
    """Return what the page of a project shows about its users."""
    return _shown(context, "project", sections.of_project)


def _shown(
    context: Context, name: str, read: Callable[[Any, Any], sections.Section | None]
) -> Shown:
    if not options.pages():
        return Shown()
    try:
        about = context[name]
        # With ATOMIC_REQUESTS, a missing table would otherwise break the page's transaction.
        with transaction.atomic():
            section = read(context["request"].user, about)
            if section is None:
                return Shown()
            values = {
                "section": section,
                "about": about,
                "what": f"this {name}",
                "several": name == "project",
                "list": _address("provisioning"),
            }
            return Shown(_rendered("notice", values), _rendered(f"of_{name}", values))
    except Exception:
        log.exception("provisioner: failed to build the Provisioning section of a page")
        return Shown(section=_rendered("broken", {}))


@register.simple_tag(takes_context=True)
def provisioning_of_requests(context: Context) -> str:
    """Return what the allocations that wait for approval lack, and those approved without it."""
    if not options.pages():
        return ""
    try:
        with transaction.atomic():
            listed = approvals.read(context["request"].user, context["allocation_list"])
            return _rendered("of_requests", {"approvals": listed}) if listed is not None else ""
    except Exception:
        log.exception("provisioner: failed to build the notice of the allocation requests")
        return ""


def _rendered(name: str, values: dict[str, Any]) -> SafeString:
    return render_to_string(f"provisioner_coldfront/{name}.html", values)


@register.simple_tag(takes_context=True)
def provisioning_address(context: Context) -> str:
    """Return the URL of the staff's page; '' if the user may not see it, or it has no URL."""
    if not options.pages():
        return ""
    try:
        user = context["request"].user
        return _address("provisioning") if user.is_authenticated and access.sees(user) else ""
    except Exception:
        log.exception("provisioner: failed to build the Provisioning entry of the navigation bar")
        return ""


def _address(name: str) -> str:
    try:
        return str(reverse(name))
    except NoReverseMatch:
        return ""


@register.tag
def original(parser: Parser, token: Token) -> Node:
    """Return a node that renders the template which this template replaced."""
    parts = token.split_contents()
    if len(parts) != 2:
        raise TemplateSyntaxError("usage: {% original 'NAME' %}")
    return _Original(parts[1].strip("'\""))


class _Original(Node):
    def __init__(self, name: str) -> None:
        self._name = name

    def render(self, context: Context) -> SafeString:
        replaced, _ = context.template.engine.find_template(self._name, skip=[self.origin])
        return SafeString(replaced.render(context))
