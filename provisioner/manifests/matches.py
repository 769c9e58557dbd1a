"""Matches: lines of manifests that said what the ledger had, kept so that they are not read again.

A portal's manifest is mostly the one of an hour ago, and reading a line costs more than all else.
Promises: a line that is found again has the same bytes, of a writer with the same rights, and was
valid, allowed and without remarks. `Match.holds` is True only while its subject claims, word for
word, what the line wanted. All that else decides about a line is not kept, but looked up each time:
the manifest's moment, dates, holds, suspensions, and other writers. In memory only: what a line
means depends on the configuration, which is that of a process. Leaves out: comparing (`manifest`).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

from provisioner.manifests.manifest import Standing

MOST = 100_000
"""The most lines that are kept, of all writers together; each takes some 400 bytes."""

SIZE = 16
"""The bytes of a digest."""


@dataclass(frozen=True, slots=True)
class Match:
    """A line that said what the ledger had.

    subject: whose line it is; ends: when access ends, as listed; claims: a digest of the claims.
    """

    subject: str
    ends: float | None
    claims: bytes

    def holds(self, now: Standing) -> bool:
        """Return True if the subject claims what it claimed when the line was compared with it."""
        return self.claims == digest(now)


def digest(now: Standing) -> bytes | None:
    """Return a digest of a subject's claims; None if a claim may still get another want."""
    if now.waiting or any(claim.want is None for claim in now.claims):
        return None
    claims = sorted((claim.key, claim.claimant, repr(claim.want)) for claim in now.claims)
    return blake2b(repr(claims).encode(), digest_size=SIZE).digest()


def name(line: bytes, rights: bytes) -> bytes:
    """Return the digest by which a line is found again. rights: of its writer, 1 to 64 bytes."""
    return blake2b(line, digest_size=SIZE, key=rights).digest()


class Matches:
    """The lines of all writers that matched, those used last at the end."""

    def __init__(self, most: int = MOST) -> None:
        """most: how many are kept, 1 or more."""
        self._most = most
        self._matches: OrderedDict[bytes, Match] = OrderedDict()

    def find(self, name: bytes) -> Match | None:
        """Return what is known of a line, by its digest."""
        match = self._matches.get(name)
        if match is not None:
            self._matches.move_to_end(name)
        return match

    def keep(self, name: bytes, match: Match) -> None:
        """Keep a match, in place of the one that was used least lately."""
        self._matches[name] = match
        self._matches.move_to_end(name)
        if len(self._matches) > self._most:
            self._matches.popitem(last=False)
