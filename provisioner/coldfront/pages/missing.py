"""What somebody still has to fill in or correct in ColdFront, with a link to the form for it.

Promises: an allocation that nobody has approved yet is looked at as if it were, so that what it
lacks is known before. Leaves out: what is missing (`mapping`), and who may see it (`sections`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.urls import NoReverseMatch, reverse

from provisioner.coldfront import snapshots
from provisioner.coldfront.asking import mapping, options

BEFORE = ("New", "Renewal Requested", "Payment Pending", "Payment Requested", "Paid")
"""Statuses of an allocation that somebody may still approve."""

_ATTRIBUTE = re.compile(r"the allocation attribute '([^']+)'|the allocation has '")


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing to fill in.

    allocation: its key; where: its resource; link: the form for it, or ''; label: what to do there.
    """

    allocation: int
    where: str
    text: str
    link: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What allocations lack, by allocation. blocked: those of which nothing new can be set up."""

    texts: Mapping[int, tuple[str, ...]]
    blocked: frozenset[int] = frozenset()


def of_allocations(chosen: Collection[int]) -> Gaps:
    """Return what each allocation lacks as ColdFront has it now."""
    texts, blocked = {}, set()
    for facts in snapshots.allocations(chosen):
        wanted = mapping.provision(facts, options.mapping())
        if wanted is not None and wanted.problems:
            texts[facts.pk] = wanted.problems
            if wanted.document is None:
                blocked.add(facts.pk)
    return Gaps(texts, frozenset(blocked))


def linked(
    problems: Mapping[int, Iterable[str]], names: Mapping[int, str], user: Any
) -> tuple[Missing, ...]:
    """Return problems by allocation with links to the forms that this user may open."""
    return tuple(
        replace(note(pk, text, user), where=names.get(pk) or f"allocation {pk}")
        for pk, texts in problems.items()
        for text in dict.fromkeys(texts)
    )


def note(allocation: int, text: str, user: Any) -> Missing:
    """Return one problem with a link to its form; allocation: its key, or 0 if it has none."""
    return Missing(allocation, "", text, *(_form(allocation, text, user) if allocation else ()))


def _form(pk: int, text: str, user: Any) -> tuple[str, str]:
    """Return the address of the form in which a problem is solved, and the link's words."""
    # ColdFront admits only superusers to these forms.
    if not user.is_superuser or not _ATTRIBUTE.search(text):
        return "", ""
    name, label = (
        ("allocation-attribute-add", "Fill it in")
        if text.startswith("fill in ")
        else ("allocation-attribute-edit", "Correct it")
    )
    try:
        return str(reverse(name, args=[pk])), label
    except NoReverseMatch:
        return "", ""
