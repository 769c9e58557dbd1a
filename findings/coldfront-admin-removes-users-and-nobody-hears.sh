#!/usr/bin/env bash
# ColdFront 1.1.10, its admin site: the action that removes users of an allocation tells nobody, and leaves no trace.
#
# The admin site's list of allocation users has three actions: set to active, denied, removed. They write the
# status in one statement for all chosen rows. So no signal is sent, neither ColdFront's own
# (allocation_remove_user, from which its FreeIPA plugin takes the user out of groups) nor Django's (post_save);
# no row of history is written, so that the newest one goes on saying Active; `modified` stays as it was; and
# Django's log of the admin site has no entry. Whoever hears of changes, or reads them from the history, misses
# these: only a comparison with what is there now finds them. The same user removed on the allocation's
# own page sends the signal, and leaves a row of history. Seen:
#   ann by the admin sites action: the row says Removed, the newest history Active; signals: none; `modified` as before
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" -q --disable-pip-version-check install coldfront==1.1.10
"$place/env/bin/pip" --disable-pip-version-check list 2>/dev/null | grep -i '^coldfront '
export SECRET_KEY=none DB_URL="sqlite:///$place/coldfront.db" DEBUG=False DJANGO_SETTINGS_MODULE=coldfront.config.settings
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
from contextlib import redirect_stdout
from io import StringIO

import django

django.setup()
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models.signals import post_save
from django.test import Client
from django.urls import reverse

settings.ALLOWED_HOSTS = ["*"]
with redirect_stdout(StringIO()):
    call_command("initial_setup", "-f", verbosity=0)

from coldfront.core.allocation.models import (
    Allocation,
    AllocationStatusChoice,
    AllocationUser,
    AllocationUserStatusChoice,
)
from coldfront.core.allocation.signals import allocation_remove_user
from coldfront.core.field_of_science.models import FieldOfScience
from coldfront.core.project.models import (
    Project,
    ProjectStatusChoice,
    ProjectUser,
    ProjectUserRoleChoice,
    ProjectUserStatusChoice,
)

boss = User.objects.create_superuser("boss", "boss@example.org", "none")
project = Project.objects.create(
    pi=boss,
    title="chemistry",
    description="of clusters",
    status=ProjectStatusChoice.objects.get(name="Active"),
    field_of_science=FieldOfScience.objects.first(),
)
allocation = Allocation.objects.create(
    project=project, status=AllocationStatusChoice.objects.get(name="Active"), justification="none"
)
role = ProjectUserRoleChoice.objects.get(name="User")
in_project = ProjectUserStatusChoice.objects.get(name="Active")
active = AllocationUserStatusChoice.objects.get(name="Active")
seats = []
for name in ("ann", "bob"):
    user = User.objects.create_user(name)
    ProjectUser.objects.create(user=user, project=project, role=role, status=in_project)
    seats.append(AllocationUser.objects.create(allocation=allocation, user=user, status=active))

heard = []
post_save.connect(lambda **_: heard.append("post_save"), sender=AllocationUser, weak=False)
allocation_remove_user.connect(lambda **_: heard.append("allocation_remove_user"), weak=False)
client = Client()
client.force_login(boss)


def told(how, seat):
    before = seat.modified, LogEntry.objects.count()
    how(seat)
    seat.refresh_from_db()
    newest = seat.history.order_by("-history_id").first()
    answer = (
        seat.status.name,
        newest.status.name,
        sorted(set(heard)),
        seat.modified != before[0],
        LogEntry.objects.count() - before[1],
    )
    heard.clear()
    print(
        f"{seat.user.username} by {how.__name__.replace('_', ' ')}: the row says {answer[0]}, the newest history "
        f"{answer[1]}; signals: {', '.join(answer[2]) or 'none'}; `modified` "
        f"{'changed' if answer[3] else 'as before'}; entries in the admin site's log: {answer[4]}"
    )
    return answer


def the_admin_sites_action(seat):
    chosen = {"action": "set_removed", "_selected_action": [seat.pk]}
    page = client.post(reverse("admin:allocation_allocationuser_changelist"), chosen)
    assert page.status_code == 302, page.status_code


def the_allocations_page(seat):
    page = reverse("allocation-remove-users", args=[allocation.pk])
    form = {
        "userform-TOTAL_FORMS": "1",
        "userform-INITIAL_FORMS": "1",
        "userform-0-selected": "on",
        "userform-0-username": seat.user.username,
    }
    answer = client.post(page, form)
    assert answer.status_code == 302, answer.status_code


silent = told(the_admin_sites_action, seats[0])
loud = told(the_allocations_page, seats[1])
assert silent == ("Removed", "Active", [], False, 0), silent
assert loud[:2] == ("Removed", "Removed"), loud
assert "allocation_remove_user" in loud[2], loud
PYTHON
