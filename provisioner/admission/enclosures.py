"""Enclosures: the file that a request names, read from beside it once, within the budget.

Promises: the file belongs to the request's writer, and has the size and digest that the request
says. A file beyond the site's budget is refused at once, with the numbers and what to change.
Leaves out: the content of its lines (`listing`, `crowds`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from provisioner.admission.candidates import Candidate, problem_of
from provisioner.config.keeping import ManifestsConfig
from provisioner.contract import Fault, InvalidRequest, Refused
from provisioner.contract.texts import format_size
from provisioner.policy.review import Review
from provisioner.policy.writers import Writers
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument, Problem
from provisioner.request.request import Request
from provisioner.request.subjects import UsersFile
from provisioner.routing.router import Router
from provisioner.spool.spool import Submission
from provisioner.system.users import plain, uid_of

log = logging.getLogger(__name__)

MANIFEST = ".jsonl"
"""The end of a manifest's name, so that it is not taken as a request."""


class Enclosures:
    """The manifests and lists of users of one site's requests."""

    def __init__(
        self,
        budget: ManifestsConfig,
        review: Review,
        companion: Callable[[str, int], Submission],
        router: Router,
        writers: Writers,
    ) -> None:
        """companion: reads a file that a request names (`Companions.manifest`)."""
        self.budget = budget
        self._review = review
        self._companion = companion
        self._router = router
        self._writers = writers

    def complete(self, candidate: Candidate) -> Candidate:
        """Add the file that a request names, or the reason why it cannot be used."""
        request = candidate.request
        if not names_one(candidate):
            return candidate
        assert request is not None
        if request.users_file is not None:
            return self._list(candidate, request.users_file)
        try:
            manifest = self._manifest(candidate.submission, request.values["manifest"])
            candidate = replace(candidate, companion=replace(manifest, body=b""))
            self._count(manifest.body)
            self.whose(candidate.submission, request)
        except Fault as fault:
            return replace(candidate, problems=(problem_of(fault),))
        return replace(candidate, manifest=manifest.body)

    def fill(self, candidate: Candidate, users: tuple[str, ...]) -> Candidate:
        """Add the users that a request's file lists, and route it as if they were in its body."""
        if not names_one(candidate):
            return candidate
        assert candidate.request is not None
        request = crowds.with_users(candidate.request, users)
        submission = candidate.submission
        request, notes = self._review.meant(submission.uid, submission.writer, request)
        candidate = replace(candidate, request=request, crowd=request.users, notes=notes)
        try:
            return replace(candidate, planned=self._router.route(request))
        except InvalidDocument as wrong:
            return replace(candidate, problems=wrong.problems)
        except Fault as fault:
            return replace(candidate, problems=(request.placed(problem_of(fault)),))
        except Exception as error:
            log.exception("%s: routing failed unexpectedly", candidate.submission.name)
            why = f"routing failed unexpectedly: {error!r}; the service's log has the traceback"
            return replace(candidate, problems=(Problem(None, "", why),))

    def afford(self, candidate: Candidate, kept: int) -> Candidate:
        """Refuse a manifest beyond the writer's limit. kept: bytes of their unfinished ones."""
        more, most = len(candidate.manifest or b""), self.budget.kept
        if not more or kept + more <= most:
            return candidate
        why = (
            f"with its {format_size(more)}, {candidate.submission.writer} would have "
            f"{format_size(kept + more)} of unfinished manifests; the limit is {format_size(most)}"
        )
        what = "release or cancel those that are held, or raise `manifests.kept`"
        problem = Problem(None, "manifest", why, what)
        return replace(candidate, problems=(problem,), manifest=None)

    def whose(self, submission: Submission, request: Request) -> Submission:
        """Return who asks for the lines: the sender, or a writer named by root or the service."""
        name = request.values.get("writer")
        if name in (None, submission.writer):
            return submission
        if not self._review.trusts(submission.uid):
            raise Refused(
                f"{submission.writer} may adopt only for themselves, not for {name}",
                advice="leave `writer` out, or have root or the service's user send it",
            )
        uid = uid_of(name)
        if uid is None:
            raise InvalidRequest(f"there is no user {name!r}", field="writer")
        return replace(submission, uid=uid, writer=self._writers.of(uid, plain(name)))

    def _list(self, candidate: Candidate, named: UsersFile) -> Candidate:
        """Read the users of a request."""
        try:
            listed = self._users(candidate.submission, named)
            candidate = replace(candidate, companion=replace(listed, body=b""))
            users = crowds.read(listed.body)
        except InvalidDocument as wrong:
            return replace(candidate, problems=wrong.problems)
        except Fault as fault:
            return replace(candidate, problems=(problem_of(fault),))
        return self.fill(candidate, users)

    def _users(self, submission: Submission, named: UsersFile) -> Submission:
        # The name and size come from the request, and are checked before the file is read.
        crowds.check(named, named.size, named.sha256)
        return self._read(submission, named, crowds.SIZE)

    def _manifest(self, submission: Submission, named: Any) -> Submission:
        if not named.file.endswith(MANIFEST):
            raise InvalidRequest(f"{named.file!r} is not a manifest", expected="*.jsonl")
        if named.size > self.budget.size:
            raise InvalidRequest(
                f"{named.file} has {format_size(named.size)}; the limit for a manifest is "
                f"{format_size(self.budget.size)}",
                field="manifest.size",
                expected="leave out what need not be listed, or raise `manifests.size` in the "
                "configuration, with the memory of the unit",
            )
        return self._read(submission, named, self.budget.size)

    def _read(self, submission: Submission, named: Any, limit: int) -> Submission:
        companion = self._companion(named.file, limit)
        # In a signed request, the digest is the signer's word for the file, whoever copied it.
        if companion.uid != submission.uid and not submission.signed:
            raise InvalidRequest(
                f"{named.file} is {companion.writer}'s, the request {submission.writer}'s"
            )
        if (companion.size, companion.sha256) != (named.size, named.sha256):
            raise InvalidRequest(
                f"{named.file} is not what the request says: it has {companion.size} bytes and "
                f"SHA-256 {companion.sha256}",
                expected="the file written completely, before the request",
            )
        return companion

    def _count(self, body: bytes) -> None:
        lines = body.count(b"\n") + 1
        if lines > self.budget.lines:
            raise InvalidRequest(
                f"the manifest has {lines} lines; the limit is {self.budget.lines}",
                field="manifest",
                expected="leave out what need not be listed, or raise `manifests.lines` in the "
                "configuration, with the memory of the unit",
            )


def names_one(candidate: Candidate) -> bool:
    """Return True if a request names a file that is to be read."""
    request = candidate.request
    if request is None or candidate.problems or candidate.forbidden is not None:
        return False
    return bool(request.values.get("manifest")) or request.users_file is not None
