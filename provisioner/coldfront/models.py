"""The outbox: each request as a row before it is a file, and what came back.

Nothing here refers to ColdFront's tables, so that removing the app or an allocation leaves no
trace in the other.
"""

from __future__ import annotations

from django.db import models

INCOMPLETE = "incomplete"
NEW = "new"
LISTED = "listed"
"""Said by a manifest, and by no request of its own."""
PROMISED = "promised"
"""Will have been said by a manifest when the service has followed it."""
WRITTEN = "written"
OPEN = (WRITTEN, "accepted", "deferred", "observed", "held", "scheduled")
"""States in which an answer is still to come."""
MENDABLE = ("failed", "refused", "cancelled")
"""Outcomes that another try may change."""


class Request(models.Model):
    """A request.

    number: its place in the order of all of them; the id is INSTANCE-NUMBER; by: the person who
    caused it; of: the request that this one steers; code: the project's, as it was said.
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
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number}: {self.action} of {self.subject}"


class Step(models.Model):
    """One step of a request, as the service answered.

    user: whose it is, where it is one's own; kind: the type of what went wrong; needs: the steps
    that come first.
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
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


class Standing(models.Model):
    """How an allocation user stands. ready: when everything was first in place."""

    allocation = models.IntegerField()
    user = models.CharField(max_length=150)
    state = models.CharField(max_length=20)
    number = models.BigIntegerField()
    message = models.TextField(blank=True)
    advice = models.TextField(blank=True)
    ready = models.DateTimeField(null=True)

    class Meta:
        ordering = ["allocation", "user"]
        constraints = [
            models.UniqueConstraint(fields=["allocation", "user"], name="provisioner_one_standing")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.allocation}: {self.state}"


class Made(models.Model):
    """What this app added to ColdFront's own tables, to be taken away with it."""

    model = models.CharField(max_length=100)
    row = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.model} {self.row}"
