"""Candidates: claimed files, each read and judged by itself.

Promises: judging touches nothing; whatever is wrong becomes a problem that can be told. Leaves
out: what was accepted before (`intake`), and who may ask (`review`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.contract import Fault, InvalidRequest
from provisioner.documents import InvalidDocument, Problem
from provisioner.request import Request, parse_request
from provisioner.routing import Router, Step
from provisioner.spool import Claimed
from provisioner.verbs import VERBS, check_served

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A claimed file, read and judged by itself. request None: it says nothing we understand."""

    claimed: Claimed
    request: Request | None
    planned: tuple[Step, ...]
    problems: tuple[Problem, ...]
    companion: Claimed | None = None
    signature: Claimed | None = None
    manifest: bytes | None = None
    listed: tuple[Candidate, ...] = ()


def judge(claimed: Claimed, router: Router) -> Candidate:
    """Parse and route what a file says, touching nothing."""
    try:
        request = parse_request(claimed.body)
    except InvalidDocument as error:
        return Candidate(claimed, None, (), error.problems)
    try:
        check_served(request)
        planned = () if request.action in VERBS else router.route(request)
        return Candidate(claimed, request, planned, ())
    except InvalidDocument as error:
        return Candidate(claimed, request, (), error.problems)
    except Fault as error:
        return Candidate(claimed, request, (), (problem_of(error),))
    except Exception as error:
        log.exception("%s: routing failed unexpectedly", claimed.name)
        why = f"routing failed unexpectedly: {error!r}; the service's log has the traceback"
        return Candidate(claimed, request, (), (Problem(None, "", why),))


def problem_of(fault: Fault) -> Problem:
    """Put a fault into the words of a refusal."""
    if isinstance(fault, InvalidRequest):
        return Problem(fault.line, fault.field, fault.message, fault.expected, fault.nearest)
    return Problem(None, "", fault.message, fault.advice)


def plain_problems(problems: Sequence[Problem]) -> list[dict[str, Any]] | None:
    """Put problems as the journal keeps them; None where there are none."""
    return [
        {
            "line": problem.line,
            "key": problem.key,
            "message": problem.message,
            "expected": problem.expected,
            "nearest": problem.nearest,
        }
        for problem in problems
    ] or None
