"""Actions of the admin site on ColdFront's tables save each row, as the site's other pages do.

ColdFront's own actions, such as "Set Selected User's Status To Removed", change many rows in one
statement. That writes no history and sends no signal: nobody would know whose change it was, and it
would be asked for by the next manifest only. Promises: what an action updates is saved row by row,
all or nothing. Leaves out: what an action deletes, as Django tells of each deleted row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet

from provisioner.coldfront import changes


def connect() -> None:
    """Let the actions on every table with a history save each row."""
    admin.autodiscover()  # the admin site's own app may come after this one
    for model in changes.RECORDED:
        if admin.site.is_registered(model):
            _save_rows(admin.site.get_model_admin(model))


class _Saved(QuerySet):
    """Rows that an update saves one by one."""

    def update(self, **values: Any) -> int:
        """Set columns of each row, and save it; return the number of rows."""
        with transaction.atomic(using=self.db):
            rows = list(self)
            for row in rows:
                for name, value in values.items():
                    setattr(row, name, value)
                row.save(update_fields=list(values))
        return len(rows)


def _save_rows(of: Any) -> None:
    listed = of.get_actions

    def get_actions(request: Any) -> dict[str, Any]:
        return {
            name: (_row_by_row(action), *more) for name, (action, *more) in listed(request).items()
        }

    of.get_actions = get_actions


def _row_by_row(action: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(action)
    def act(of: Any, request: Any, queryset: Any) -> Any:
        rows = queryset.all()
        rows.__class__ = type("Saved", (_Saved, type(queryset)), {})
        return action(of, request, rows)

    return act
