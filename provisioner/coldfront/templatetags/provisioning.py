"""Tags for ColdFront's pages.

Promises: whatever goes wrong here, ColdFront's own page is shown, and the log says what it was.
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
from provisioner.coldfront.pages import access, sections

log = logging.getLogger(__name__)

register = template.Library()


@dataclass(frozen=True, slots=True)
class Shown:
    """What is added to a page: a line at its top, and a section at its end."""

    notice: str = ""
    section: str = ""


@register.simple_tag(takes_context=True)
def provisioning_of_allocation(context: Context) -> Shown:
    """Show how the users of the page's allocation stand."""
    return _shown(context, "allocation", sections.of_allocation)


@register.simple_tag(takes_context=True)
def provisioning_of_project(context: Context) -> Shown:
    """Show how the users of the page's project stand."""
    return _shown(context, "project", sections.of_project)


def _shown(
    context: Context, name: str, read: Callable[[Any, Any], sections.Section | None]
) -> Shown:
    if not options.pages():
        return Shown()
    try:
        about = context[name]
        # With ATOMIC_REQUESTS a table that is not there would else spoil the page's transaction.
        with transaction.atomic():
            found = read(context["request"].user, about)
            if found is None:
                return Shown()
            said = {"section": found, "about": about, "list": _address("provisioning")}
            return Shown(_rendered("notice", said), _rendered(f"of_{name}", said))
    except Exception:
        log.exception("provisioner: a page's section could not be made")
        return Shown(section=_rendered("broken", {}))


def _rendered(name: str, said: dict[str, Any]) -> SafeString:
    return render_to_string(f"provisioner_coldfront/{name}.html", said)


@register.simple_tag(takes_context=True)
def provisioning_address(context: Context) -> str:
    """Say where the staff's page is; '' for who may not see it, and where it has no address."""
    if not options.pages():
        return ""
    try:
        user = context["request"].user
        return _address("provisioning") if user.is_authenticated and access.sees(user) else ""
    except Exception:
        log.exception("provisioner: the navigation's entry could not be made")
        return ""


def _address(name: str) -> str:
    try:
        return str(reverse(name))
    except NoReverseMatch:
        return ""


@register.tag
def original(parser: Parser, token: Token) -> Node:
    """Put here the template of the same name that this one took the place of."""
    parts = token.split_contents()
    if len(parts) != 2:
        raise TemplateSyntaxError("usage: {% original 'NAME' %}")
    return _Original(parts[1].strip("'\""))


class _Original(Node):
    def __init__(self, name: str) -> None:
        self._name = name

    def render(self, context: Context) -> SafeString:
        found, _ = context.template.engine.find_template(self._name, skip=[self.origin])
        return SafeString(found.render(context))
