"""Signatures: who asks, if the owner of a file does not prove it.

Promises: a request with `NAME.sig` beside it is its signer's, or nobody's: an invalid signature is
never ignored. It covers every byte, so that a part of a request has none. It is valid until
`expires`, and the journal remembers the request until then. Programs run without a shell, for a
limited time. Leaves out: what signers may ask for (`policy`), and what was accepted before
(`intake`).
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
"""The largest signature, in bytes."""

PATIENCE = 10.0
"""The most seconds that one run of ssh-keygen may take."""

_DAY = 86400.0
_WILD = frozenset("*?!, \t")


class _Anothers(Refused):
    """The signature belongs to somebody other than the request's owner."""


class Signatures:
    """The signatures of one site's requests."""

    def __init__(
        self,
        settings: SignaturesConfig | None,
        remembered: float,
        take: Callable[[Submission, int], Submission],
    ) -> None:
        """remembered: days for which the journal keeps a request; take: `Companions.signature`.

        settings None: signatures are ignored. Raises ConfigError if the list of signers cannot be
        read, or if others can write to it.
        """
        self._settings = settings
        self._remembered = remembered
        self._take = take
        if settings is not None:
            _check(settings.allowed_signers)

    def judge(self, submission: Submission, read: Callable[[Submission], Candidate]) -> Candidate:
        """Judge a file as its signer's, or as its owner's if it needs no signature.

        read: judges its content for a known writer.
        """
        if self._settings is None:
            return read(submission)
        signature: Submission | None = None
        try:
            signature = self._take(submission, LIMIT)
            if signature.uid != submission.uid:
                # Anybody who can write to staging can put one beside another's file.
                raise _Anothers(
                    f"{signature.name} is {signature.writer}'s, the request {submission.writer}'s",
                    advice="send both files again, as one user",
                )
            uid, name = user(
                principals(self._settings.allowed_signers, submission.body, signature.body)
            )
        except NotThere:
            if not self._settings.required:
                return read(submission)
            return _refused(submission, None, problem_of(unsigned(submission.name)))
        except _Anothers as fault:
            if not self._settings.required:
                return replace(read(submission), signature=signature)
            return _refused(submission, signature, problem_of(fault))
        except Fault as fault:
            return _refused(submission, signature, problem_of(fault))
        except OSError as error:
            why = f"its signature cannot be checked: {error.strerror}"
            return _refused(submission, signature, Problem(None, "", why, "send both files again"))
        sender = persons.account(submission.writer, submission.uid)
        behind = sender if submission.uid != uid else ()
        signed = replace(submission, uid=uid, writer=name, signed=True, behind=behind)
        candidate = replace(read(signed), signature=signature)
        if candidate.request is None or candidate.problems or candidate.forbidden:
            return candidate
        expires = candidate.request.expires
        ends = expires.timestamp() if expires is not None else None
        problem = lasting(ends, time.time(), self._remembered)
        return replace(candidate, planned=(), problems=(problem,)) if problem else candidate


def unsigned(name: str) -> Refused:
    """Return the refusal of a request without a signature, with what to do."""
    return Refused(
        f"it is not signed: there was no {name}{SIGNATURE} beside it",
        advice=f"ssh-keygen -Y sign -n {NAMESPACE} -f KEY {name}, then move {name}{SIGNATURE} into "
        f"staging first, and {name} after it",
    )


def lasting(expires: float | None, now: float, remembered: float) -> Problem | None:
    """Return what is wrong with the end of a signed request; None if nothing is."""
    if expires is None:
        return Problem(None, "expires", "a signed request has to say when it ends", "expires: TIME")
    if expires > now + remembered * _DAY:
        most = f"a time within {remembered:g} days, for which the journal remembers it"
        return Problem(None, "expires", "its signature is valid for too long", most)
    return None


def user(names: Sequence[str]) -> tuple[int, str]:
    """Return uid and name of the one user whom the principals of a key name.

    Raises Refused if they name several, a pattern, or nobody of this host.
    """
    if len(names) != 1 or not _WILD.isdisjoint(names[0]):
        raise Refused(
            f"its key stands for {', '.join(names)}, not for one user",
            advice="name one user of this host for each key in the list of allowed signers",
        )
    try:
        entry = pwd.getpwnam(names[0])
    except KeyError:
        raise Refused(
            f"its signer {names[0]} is not a user of this host",
            advice="name a user of this host in the list of allowed signers",
        ) from None
    return entry.pw_uid, entry.pw_name


def principals(allowed: Path, body: bytes, signature: bytes) -> tuple[str, ...]:
    """Return the users that the list of allowed signers names for the key of a signature.

    Raises Refused if the signature is invalid, Unavailable if that cannot be determined.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Refused("it is signed, but not UTF-8", advice="write it in UTF-8") from None
    with tempfile.NamedTemporaryFile(prefix="provisioner-", suffix=SIGNATURE) as file:
        file.write(signature)
        file.flush()
        key = ("-f", str(allowed), "-s", file.name)
        listed = _keygen("find-principals", *key)
        names = tuple(dict.fromkeys(listed.splitlines()))
        if names:
            _keygen("verify", *key, "-I", names[0], "-n", NAMESPACE, stdin=text)
    return names


def _keygen(what: str, *words: str, stdin: str = "") -> str:
    done = process.run(["ssh-keygen", "-Y", what, *words], stdin=stdin, timeout=PATIENCE)
    if done.timed_out:
        raise Unavailable("ssh-keygen did not end in time", advice="send both files again")
    if done.returncode != 0:
        output = " ".join((done.stderr or done.stdout).split())[:200]
        raise Refused(
            f"its signature is not valid: {output}",
            advice=f"sign it with a key of the allowed signers, with `ssh-keygen -Y sign -n "
            f"{NAMESPACE}`, and do not change it afterwards",
        )
    return done.stdout


def _refused(submission: Submission, signature: Submission | None, problem: Problem) -> Candidate:
    """Refuse a file whose owner is unknown; nothing in it is believed."""
    log.warning(
        "ALARM signature: %s of %s: %s", submission.name, submission.writer, problem.message
    )
    return Candidate(submission, None, (), (problem,), signature=signature)


def _check(allowed: Path) -> None:
    try:
        with allowed.open("rb"):
            mode = allowed.stat().st_mode
    except OSError as error:
        raise ConfigError(
            f"policy.signatures: {allowed}: {error.strerror}",
            advice="one line for each key, as in ssh-keygen(1) under ALLOWED SIGNERS",
        ) from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"policy.signatures: others may write to {allowed}", advice=f"chmod go-w {allowed}"
        )
