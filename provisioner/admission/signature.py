"""Signatures: who asks, where the owner of a file is no proof of it.

Promises: a request with `NAME.sig` beside it is its signer's, or nobody's: a signature that does
not hold is never passed over as if there were none. It is over every byte, so a part of a request
has none; and it holds until `expires`, for which the journal remembers the request. Programs run
without a shell, for a bounded time. Leaves out: what signers may ask for (`policy`), and what was
accepted before (`intake`).
"""

from __future__ import annotations

import logging
import pwd
import stat
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from provisioner.admission.candidates import Candidate, problem_of
from provisioner.config.policy import SignaturesConfig
from provisioner.contract import ConfigError, Fault, Refused, Unavailable
from provisioner.policy import persons
from provisioner.request.documents import Problem
from provisioner.spool.submission import NAMESPACE, SIGNATURE, NotThere, Submission
from provisioner.system import process

log = logging.getLogger(__name__)

LIMIT = 16 * 1024
"""Largest signature, in bytes."""

PATIENCE = 10.0
"""Seconds that one run of ssh-keygen may take."""

_DAY = 86400.0
_WILD = frozenset("*?!, \t")


class _Anothers(Refused):
    """A signature that is not of the request's owner."""


class Signatures:
    """The signatures of one site's requests."""

    def __init__(
        self,
        settings: SignaturesConfig | None,
        remembered: float,
        take: Callable[[Submission, int], Submission],
    ) -> None:
        """remembered: days that the journal keeps a request; take: `Companions.signature`.

        settings None: no signature is looked for. Raises ConfigError when the list of signers
        cannot be read, or others may write to it.
        """
        self._settings = settings
        self._remembered = remembered
        self._take = take
        if settings is not None:
            _check(settings.allowed_signers)

    def judge(self, submission: Submission, read: Callable[[Submission], Candidate]) -> Candidate:
        """Judge a file as its signer's, or as its owner's where it needs no signature.

        read: judges what it says, of a writer who is known.
        """
        if self._settings is None:
            return read(submission)
        found: Submission | None = None
        try:
            found = self._take(submission, LIMIT)
            if found.uid != submission.uid:
                # Whoever may write to staging can put one beside what is not theirs.
                raise _Anothers(
                    f"{found.name} is {found.writer}'s, the request {submission.writer}'s",
                    advice="send both files again, as one user",
                )
            uid, name = user(
                principals(self._settings.allowed_signers, submission.body, found.body)
            )
        except NotThere:
            if not self._settings.required:
                return read(submission)
            return _refused(submission, None, problem_of(unsigned(submission.name)))
        except _Anothers as fault:
            if not self._settings.required:
                return replace(read(submission), signature=found)
            return _refused(submission, found, problem_of(fault))
        except Fault as fault:
            return _refused(submission, found, problem_of(fault))
        except OSError as error:
            why = f"its signature cannot be checked: {error.strerror}"
            return _refused(submission, found, Problem(None, "", why, "send both files again"))
        sender = persons.account(submission.writer, submission.uid)
        behind = sender if submission.uid != uid else ()
        signed = replace(submission, uid=uid, writer=name, signed=True, behind=behind)
        candidate = replace(read(signed), signature=found)
        if candidate.request is None or candidate.problems or candidate.forbidden:
            return candidate
        expires = candidate.request.expires
        ends = expires.timestamp() if expires is not None else None
        problem = lasting(ends, time.time(), self._remembered)
        return replace(candidate, planned=(), problems=(problem,)) if problem else candidate


def unsigned(name: str) -> Refused:
    """Say what to do about a request without a signature."""
    return Refused(
        f"it is not signed: there was no {name}{SIGNATURE} beside it",
        advice=f"ssh-keygen -Y sign -n {NAMESPACE} -f KEY {name}, then move {name}{SIGNATURE} into "
        f"staging first, and {name} after it",
    )


def lasting(expires: float | None, now: float, remembered: float) -> Problem | None:
    """Say what is wrong with the end of a signed request; None: it is remembered until then."""
    if expires is None:
        return Problem(None, "expires", "a signed request says when it ends", "expires: TIME")
    if expires > now + remembered * _DAY:
        most = f"a time within {remembered:g} days, for which the journal remembers it"
        return Problem(None, "expires", "it is signed for too long", most)
    return None


def user(names: Sequence[str]) -> tuple[int, str]:
    """Return uid and name of the one user whom the principals of a key name.

    Raises Refused where they name several, a pattern, or nobody of this host.
    """
    if len(names) != 1 or not _WILD.isdisjoint(names[0]):
        raise Refused(
            f"its key stands for {', '.join(names)}, not for one user",
            advice="name one user of this host for each key in the list of allowed signers",
        )
    try:
        found = pwd.getpwnam(names[0])
    except KeyError:
        raise Refused(
            f"its signer {names[0]} is no user of this host",
            advice="name a user of this host in the list of allowed signers",
        ) from None
    return found.pw_uid, found.pw_name


def principals(allowed: Path, body: bytes, signature: bytes) -> tuple[str, ...]:
    """Return whom the list of allowed signers names for the key that signed a body.

    Raises Refused where the signature does not hold, Unavailable where that cannot be found out.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Refused("it is signed, and not UTF-8", advice="write it in UTF-8") from None
    with tempfile.NamedTemporaryFile(prefix="provisioner-", suffix=SIGNATURE) as file:
        file.write(signature)
        file.flush()
        key = ("-f", str(allowed), "-s", file.name)
        found = _keygen("find-principals", *key)
        names = tuple(dict.fromkeys(found.splitlines()))
        if names:
            _keygen("verify", *key, "-I", names[0], "-n", NAMESPACE, stdin=text)
    return names


def _keygen(what: str, *words: str, stdin: str = "") -> str:
    done = process.run(["ssh-keygen", "-Y", what, *words], stdin=stdin, timeout=PATIENCE)
    if done.timed_out:
        raise Unavailable("ssh-keygen did not end in time", advice="send both files again")
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[:200]
        raise Refused(
            f"its signature does not hold: {said}",
            advice=f"sign it by a key of the allowed signers, by `ssh-keygen -Y sign -n "
            f"{NAMESPACE}`, and change nothing after that",
        )
    return done.stdout


def _refused(submission: Submission, found: Submission | None, problem: Problem) -> Candidate:
    """Refuse a file of which nobody knows whose it is; nothing that it says is believed."""
    log.warning(
        "ALARM signature: %s of %s: %s", submission.name, submission.writer, problem.message
    )
    return Candidate(submission, None, (), (problem,), signature=found)


def _check(allowed: Path) -> None:
    try:
        with allowed.open("rb"):
            mode = allowed.stat().st_mode
    except OSError as error:
        raise ConfigError(
            f"policy.signatures: {allowed}: {error.strerror}",
            advice="one line for each key, as ssh-keygen(1) has it under ALLOWED SIGNERS",
        ) from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"policy.signatures: others may write to {allowed}", advice=f"chmod go-w {allowed}"
        )
