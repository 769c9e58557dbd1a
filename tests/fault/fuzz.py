"""A fuzz of the request parser: `python -m tests.fault.fuzz [INPUTS] [SEED]`.

Promises: the same seed gives the same inputs: mutations of the sample requests, of nasty fragments,
and plain noise. Each input is parsed or refused with InvalidDocument; anything else, an input that
takes longer than ten seconds, and more than 100 MiB on top of what the parser had, is a finding.
"""

from __future__ import annotations

import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from provisioner.request.documents import DEPTH, InvalidDocument
from provisioner.request.request import parse_request
from provisioner.spool.submission import LIMIT

SAMPLES = Path(__file__).parents[2] / "templates/requests"
ROOM = 100 * 1024 * 1024
HANG = 10

NESTED = tuple(opened * (DEPTH + 1) for opened in (b"[", b"{", b"- ", b"? ", b": ", b"[[],{"))
"""Just above our own limit, and never multiplied: the guard is tried, not the library behind it."""

NASTY = (
    *(b"&a [*a]", b"&a {<<: *a}", b"*a", b"<<: [", b"!!python/object:os.system", b"!!binary", b"!"),
    *(
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x00",
        b"\x85",
        b"\xed\xa0",
    ),
    *(b"'", b'"', b"|\n ", b">-\n", b"\t", b"\r", b"#", b"\\x", b'"\\ud800"', b'"\\U0010ffff"'),
    *(b"1" * 400, b"0x" + b"f" * 60, b"1e999", b"-0", b".nan", b"12:30:45", b"1_000", b"no", b"~"),
    *(b"9" * 20 + b"TiB", b"1e400 TB", b"2026-02-30T25:61:61Z", b"9999-12-31T23:59:59-23:59"),
    *(b"a" * 300, b"\xc3\xbc" * 100, "\u202e\u2028\ufeff".encode(), b"../" * 10, b"{{ 7*7 }}"),
)


def inputs(seed: int) -> Iterator[bytes]:
    """Yield inputs without end."""
    chance = random.Random(seed)
    samples = [path.read_bytes() for path in sorted(SAMPLES.iterdir())]
    while True:
        if chance.random() < 0.05:
            yield chance.randbytes(chance.randrange(200))
            continue
        text = bytearray(chance.choice(samples))
        for _ in range(1 << chance.randrange(4)):
            _mutate(text, chance, samples)
        yield bytes(text[:LIMIT])


def _mutate(text: bytearray, chance: random.Random, samples: list[bytes]) -> None:
    at = chance.randrange(len(text) + 1)
    end = min(len(text), at + chance.randrange(1, 40))
    match chance.randrange(8):
        case 0:
            text[at:at] = chance.choice((*NASTY, *NESTED))
        case 1:
            text[at:end] = b""
        case 2:
            text[at:at] = text[at:end] * chance.choice((1, 2, 9))
        case 3 if at < len(text):
            text[at] ^= 1 << chance.randrange(8)
        case 4:
            text[at:end] = chance.randbytes(end - at)
        case 5:
            other = chance.choice(samples)
            cut = chance.randrange(len(other))
            text[at:end] = other[cut : cut + chance.randrange(1, 80)]
        case 6:
            lines = bytes(text).splitlines(keepends=True)
            chance.shuffle(lines)
            text[:] = b"".join(lines)
        case _:
            text[at:end] = chance.choice(NASTY) * chance.choice((1, 1, 1, 30))


def _hang(*_: object) -> None:
    raise TimeoutError(f"an input takes more than {HANG} s")


def run(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Parse inputs; return how many were what, and the findings with the inputs that make them."""
    counts: Counter[str] = Counter()
    findings: list[str] = []
    given = inputs(seed)
    for _ in range(200):  # what is loaded at the first use is no input's doing
        _parse(next(given))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = signal.signal(signal.SIGALRM, _hang)
    try:
        for _ in range(count):
            body = next(given)
            signal.setitimer(signal.ITIMER_REAL, HANG)
            try:
                counts[_parse(body)] += 1
            except Exception as error:
                counts["crashed"] += 1
                if len(findings) < 10:
                    findings.append(f"{error!r} from {body!r}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if grown > ROOM:
        findings.append(f"took {grown >> 20} MiB more")
    return counts, findings


def _parse(body: bytes) -> str:
    try:
        parse_request(body)
    except InvalidDocument as refusal:
        # Its words are for a person, whatever was in the file.
        str(refusal)
        return "refused"
    return "parsed"


def main() -> int:
    """Fuzz, print the counts, and show by the exit code whether anything was found."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    began = time.monotonic()
    counts, findings = run(count, seed)
    took = time.monotonic() - began
    said = "  ".join(f"{what}: {counts[what]}" for what in ("parsed", "refused", "crashed"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"inputs: {count}  seed: {seed}  {said}  peak: {peak} MiB  took: {took:.0f} s")
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
