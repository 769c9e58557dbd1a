"""What `provisioner doctor` says of the token for slurmrestd.

Promises: reads the file as each question does, and shows nothing of it but its end. Leaves out: the
file's mode, which `doctor` checks of every secret.
"""

from __future__ import annotations

from collections.abc import Callable

from handlers.slurm.rest.token import end_of, shown
from provisioner.contract import ConfigError, Finding, Level

SOON = 3 * 86400.0
"""Seconds before a token's end from which on `doctor` warns."""

_RENEW = (
    "as root or SlurmUser on slurmctld's host: scontrol token username=NAME lifespan=2592000; "
    "write it into the file of the secret, which is read again at once"
)


def check_token(read: Callable[[], str] | None, now: float) -> list[Finding]:
    """Return when the token ends. read: reads it; None if slurmrestd needs none."""
    if read is None:
        return [
            Finding(Level.OK, "slurmrestd", "needs no token: it knows the service by its socket")
        ]
    try:
        end = end_of(read())
    except ConfigError as fault:
        return [Finding(Level.ERROR, "slurmrestd", fault.message, fault.advice)]
    if end is None:
        said = "the token does not say when it ends"
        return [Finding(Level.WARNING, "slurmrestd", said, _RENEW)]
    moment = shown(end)
    if end <= now:
        return [Finding(Level.ERROR, "slurmrestd", f"the token ended on {moment}", _RENEW)]
    level = Level.WARNING if end - now < SOON else Level.OK
    advice = _RENEW if level is Level.WARNING else ""
    return [Finding(level, "slurmrestd", f"the token ends on {moment}", advice)]
