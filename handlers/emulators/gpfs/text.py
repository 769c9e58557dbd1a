"""How the mm commands read their arguments and write their `-Y` output."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


class Failed(Exception):
    """A command that ends with an exit code and a message on standard error.

    message_id: the number that an older build prints before the message.
    """

    def __init__(self, code: int, words: str, message_id: str = "") -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.message_id = message_id


class Usage(Failed):
    """Arguments that a command does not take."""

    def __init__(self, words: str) -> None:
        # invented: text and exit code; no public transcript shows a usage error.
        super().__init__(1, words)


def words(args: Sequence[str], valued: Iterable[str], bare: Iterable[str] = ()) -> dict[str, str]:
    """Return options and positions: `{"-t": value, "-Y": "", "0": first, "1": second}`.

    Raises Usage for an unknown option, or one that lacks its value.
    """
    parsed: dict[str, str] = {}
    rest = list(args)
    position = 0
    while rest:
        word = rest.pop(0)
        if word in valued:
            if not rest:
                raise Usage(f"{word} needs a value")
            parsed[word] = rest.pop(0)
        elif word in bare:
            parsed[word] = ""
        elif word.startswith("-"):
            raise Usage(f"Incorrect option: {word}")
        else:
            parsed[str(position)] = word
            position += 1
    return parsed


def size(text: str, suffixes: str = "kmgtp") -> int:
    """Return the number in `5T` or a plain number; suffixes by 1024, in either case. Raises
    Usage."""
    digits = text.rstrip("kKmMgGtTpP")
    suffix = text[len(digits) :].lower()
    if not digits.isdigit() or len(suffix) > 1 or (suffix and suffix not in suffixes):
        raise Usage(f"Incorrect value: {text}")
    return int(digits) * SIZES[suffix]


def encode(value: object) -> str:
    """Encode a field: `%` and `:` only."""
    return str(value).replace("%", "%25").replace(":", "%3A")


def encode_path(path: str) -> str:
    """Encode a path field: everything but letters and digits (`/` is %2F, `-` is %2D)."""
    return "".join(
        chr(b) if chr(b).isascii() and chr(b).isalnum() else f"%{b:02X}" for b in path.encode()
    )


def table(
    command: str,
    section: str,
    names: Sequence[str],
    rows: Iterable[Mapping[str, str]],
    missing: str = "",
    tail: str = ":",
) -> str:
    """Return `-Y` output: a header, and a line for each row of encoded values."""
    lines = [f"{command}:{section}:HEADER:version:reserved:reserved:{':'.join(names)}{tail}"]
    for row in rows:
        values = ":".join(row.get(name, missing) for name in names)
        lines.append(f"{command}:{section}:0:1:::{values}:")
    return "\n".join(lines) + "\n"
