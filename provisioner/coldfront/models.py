"""The outbox: each request as a row, before it is a file, and the service's answer.

No table refers to ColdFront's tables. Removing the app, or an allocation, leaves nothing behind in
the other. So the tables are the same in every version of ColdFront, and belong to the one installed
app with this label.
"""

from __future__ import annotations

from django.db import models

LABEL = "provisioner_coldfront"
"""The label of the app with these tables, in each version of ColdFront."""

INCOMPLETE = "incomplete"
NEW = "new"
RENUMBERED = "renumbered"
"""It only keeps a number, above which those of the others continue."""
WRITTEN = "written"
OPEN = (WRITTEN, "accepted", "deferred", "observed", "held", "scheduled")
"""States in which the service still has to answer."""
UNHEARD = "unheard"
"""The service knows another request under its id, or a newer one that ColdFront does not know."""
RETRYABLE = ("failed", "refused", "cancelled", UNHEARD)
"""Outcomes that asking again may change."""
WHOLE = models.Q(state="done", problems=[])
"""What asked for all that ColdFront had, and is done. A request with problems left something out:
users, or everything but the removal of users."""


class Request(models.Model):
    """A request.

    number: its place in the order of all requests; the request's id is INSTANCE-NUMBER;
    by: the person who caused it; of: the number of the request that this one controls;
    code: the project's code in the request.
    """

    number = models.BigAutoField(primary_key=True)
    event = models.CharField(max_length=500)
    action = models.CharField(max_length=40, blank=True)
    subject = models.CharField(max_length=255, blank=True)
    key = models.CharField(max_length=255, db_index=True)
    allocation = models.IntegerField(null=True, db_index=True)
    project = models.IntegerField(null=True, db_index=True)
    code = models.CharField(max_length=64, blank=True, default="", db_index=True)
    user = models.CharField(max_length=150, blank=True, db_index=True)
    body = models.TextField(blank=True)
    digest = models.CharField(max_length=64, blank=True)
    problems = models.JSONField(default=list)
    state = models.CharField(max_length=20, default=NEW, db_index=True)
    error = models.TextField(blank=True)
    advice = models.TextField(blank=True, default="")
    by = models.CharField(max_length=150, blank=True, default="")
    of = models.BigIntegerField(null=True, db_index=True)
    created = models.DateTimeField(auto_now_add=True)
    written = models.DateTimeField(null=True)
    answered = models.DateTimeField(null=True)
    answer = models.JSONField(null=True)

    class Meta:
        app_label = LABEL
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number}: {self.action} of {self.subject}"


class Step(models.Model):
    """One step of a request, from the service's answer.

    user: the user whose part of the step this is, or ''; kind: the type of the fault; needs: the
    names of the steps that come first.
    """

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=200)
    user = models.CharField(max_length=150, blank=True, db_index=True)
    handler = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=20)
    kind = models.CharField(max_length=40, blank=True, default="")
    message = models.TextField(blank=True)
    advice = models.TextField(blank=True)
    needs = models.JSONField(default=list)

    class Meta:
        app_label = LABEL
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


class Standing(models.Model):
    """The status of one user of an allocation. ready: when everything was first in place."""

    allocation = models.IntegerField()
    user = models.CharField(max_length=150)
    state = models.CharField(max_length=20)
    number = models.BigIntegerField()
    message = models.TextField(blank=True)
    advice = models.TextField(blank=True)
    ready = models.DateTimeField(null=True)

    class Meta:
        app_label = LABEL
        ordering = ["allocation", "user"]
        constraints = [
            models.UniqueConstraint(fields=["allocation", "user"], name="provisioner_one_standing")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.allocation}: {self.state}"


class Sync(models.Model):
    """How old the news from the service is, in one row.

    at: when the answers were last read; error: why that was not possible since, or ''; behind: a
    number that the service knows and this ColdFront has not given out, or 0.
    """

    at = models.DateTimeField()
    error = models.TextField(blank=True, default="")
    behind = models.BigIntegerField(default=0)

    class Meta:
        app_label = LABEL

    def __str__(self) -> str:
        return f"read at {self.at}"


class Made(models.Model):
    """A row that this app added to ColdFront's own tables; uninstalling removes it."""

    model = models.CharField(max_length=100)
    row = models.IntegerField()

    class Meta:
        app_label = LABEL

    def __str__(self) -> str:
        return f"{self.model} {self.row}"
