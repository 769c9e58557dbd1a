"""Enclosures: the file that a request names, read beside it once and within the budget.

Promises: the file is the request's writer's and is what the request says; what would cost more than
the site grants is refused at once, with the numbers and what to change. Leaves out: what its lines
say (`listing`, `crowds`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from provisioner.admission.candidates import Candidate, problem_of
from provisioner.config.schema import ManifestsConfig
from provisioner.contract import Fault, InvalidRequest, Refused
from provisioner.contract.sizes import format_size
from provisioner.policy.review import Review
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument, Problem
from provisioner.request.request import Request
from provisioner.request.subjects import UsersFile
from provisioner.routing.router import Router
from provisioner.spool.spool import Submission
from provisioner.system.users import uid_of

log = logging.getLogger(__name__)

MANIFEST = ".jsonl"
"""How a manifest's name ends, so that it is not taken for a request."""


class Enclosures:
    """The manifests and lists of users of one site's requests."""

    def __init__(
        self,
        budget: ManifestsConfig,
        review: Review,
        companion: Callable[[str, int], Submission],
        router: Router,
    ) -> None:
        """companion: reads a file that a request names (`Companions.manifest`)."""
        self.budget = budget
        self._review = review
        self._companion = companion
        self._router = router

    def complete(self, candidate: Candidate) -> Candidate:
        """Add the file that a request names; say what is wrong where it cannot be had."""
        request = candidate.request
        if not names_one(candidate):
            return candidate
        assert request is not None
        if request.users_file is not None:
            return self._list(candidate, request.users_file)
        try:
            found = self._manifest(candidate.submission, request.values["manifest"])
            candidate = replace(candidate, companion=replace(found, body=b""))
            self._count(found.body)
            self.whose(candidate.submission, request)
        except Fault as fault:
            return replace(candidate, problems=(problem_of(fault),))
        return replace(candidate, manifest=found.body)

    def fill(self, candidate: Candidate, users: tuple[str, ...]) -> Candidate:
        """Add the users that a request's file lists, and route it: their names are as in a body."""
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
        """Refuse a manifest that is one too many; kept: bytes of its writer's that are not over."""
        more, most = len(candidate.manifest or b""), self.budget.kept
        if not more or kept + more <= most:
            return candidate
        why = (
            f"with its {format_size(more)} there would be {format_size(kept + more)} of "
            f"{candidate.submission.writer}'s manifests that are not over, and {format_size(most)} "
            "are kept at most"
        )
        what = "release or cancel those that are held, or raise `manifests.kept`"
        problem = Problem(None, "manifest", why, what)
        return replace(candidate, problems=(problem,), manifest=None)

    def whose(self, submission: Submission, request: Request) -> Submission:
        """Say whose requests follow: the sender's, or those of whom root or the service names."""
        name = request.values.get("writer")
        if name in (None, submission.writer):
            return submission
        if not self._review.trusts(submission.uid):
            raise Refused(
                f"{submission.writer} adopts for themselves alone, not for {name}",
                advice="leave `writer` out, or have root or the service's user send it",
            )
        uid = uid_of(name)
        if uid is None:
            raise InvalidRequest(f"there is no user {name!r}", field="writer")
        return replace(submission, uid=uid, writer=name)

    def _list(self, candidate: Candidate, named: UsersFile) -> Candidate:
        """Read the users of a request."""
        try:
            found = self._users(candidate.submission, named)
            candidate = replace(candidate, companion=replace(found, body=b""))
            users = crowds.read(found.body)
        except InvalidDocument as wrong:
            return replace(candidate, problems=wrong.problems)
        except Fault as fault:
            return replace(candidate, problems=(problem_of(fault),))
        return self.fill(candidate, users)

    def _users(self, submission: Submission, named: UsersFile) -> Submission:
        # What is not read is held against itself: its name and size are the request's.
        crowds.check(named, named.size, named.sha256)
        return self._read(submission, named, crowds.SIZE)

    def _manifest(self, submission: Submission, named: Any) -> Submission:
        if not named.file.endswith(MANIFEST):
            raise InvalidRequest(f"{named.file!r} is no manifest", expected="*.jsonl")
        if named.size > self.budget.size:
            raise InvalidRequest(
                f"{named.file} has {format_size(named.size)}, and a manifest "
                f"{format_size(self.budget.size)} at most",
                field="manifest.size",
                expected="leave out what need not be listed, or raise `manifests.size` in the "
                "configuration, with the memory of the unit",
            )
        return self._read(submission, named, self.budget.size)

    def _read(self, submission: Submission, named: Any, limit: int) -> Submission:
        found = self._companion(named.file, limit)
        # The digest of a signed request is its signer's word for the manifest, whoever copied it.
        if found.uid != submission.uid and not submission.signed:
            raise InvalidRequest(
                f"{named.file} is {found.writer}'s, the request {submission.writer}'s"
            )
        if (found.size, found.sha256) != (named.size, named.sha256):
            raise InvalidRequest(
                f"{named.file} is not what the request says: it has {found.size} bytes and "
                f"SHA-256 {found.sha256}",
                expected="the file written whole, before the request",
            )
        return found

    def _count(self, body: bytes) -> None:
        lines = body.count(b"\n") + 1
        if lines > self.budget.lines:
            raise InvalidRequest(
                f"the manifest has {lines} lines, and {self.budget.lines} are judged at most",
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
