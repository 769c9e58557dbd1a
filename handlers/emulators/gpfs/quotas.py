"""Emulated mmsetquota, mmlsquota and mmrepquota: quotas of filesets, and a report of users."""

from __future__ import annotations

from handlers.emulators.gpfs import store
from handlers.emulators.gpfs.filesets import known_filesystem
from handlers.emulators.gpfs.text import Failed, Usage, encode, size, table, words

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from typing import Any

_COMMON = (  # noqa: SIM905
    "filesystemName:quotaType:id:name:blockUsage:blockQuota:blockLimit:blockInDoubt:"
    "blockGrace:filesUsage:filesQuota:filesLimit:filesInDoubt:filesGrace:remarks"
).split(":")
LIST_COLUMNS = [*_COMMON, "fid", "filesetname"]
REPORT_COLUMNS = [*_COMMON, "quota", "defQuota", "fid", "filesetname"]

MOST_KIB, MOST_FILES = 999_999_999_999_999, 134_217_727


def _set(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"--block", "--files"})
    device, _, name = options.get("0", "").partition(":")
    with store.opened(base, write=True) as state:
        known_filesystem(state, command, device)
        if name not in state["filesets"]:
            # invented: the exit code. Facts show the text with a device's name before it.
            words_ = f"{device}: no such fileset in quota enabled file systems"
            raise Failed(22, words_)
        limits = state["quotas"].setdefault(name, {"block": [0, 0], "files": [0, 0]})
        if "--block" in options:
            limits["block"] = [_kib(n) for n in _pair(options["--block"], "kmgtp")]
        if "--files" in options:
            limits["files"] = _pair(options["--files"], "km")
            level = [int(part) for part in store.release(base).split(".")]
            if max(limits["files"]) > MOST_FILES and level < [5, 1, 3]:
                # invented: the text; the bound is IBM's.
                raise Usage(f"The limit is above {MOST_FILES}.")
        return ""


def _pair(text: str, suffixes: str) -> list[int]:
    soft, _, hard = text.partition(":")
    pair = [size(soft, suffixes), size(hard, suffixes) if hard else 0]
    if pair[1] and pair[0] > pair[1]:
        # invented: the text.
        raise Usage("The soft limit is above the hard limit.")
    return pair


def _kib(in_bytes: int) -> int:
    in_kib = store.round_up(in_bytes, 1024) // 1024
    if in_kib > MOST_KIB:
        # invented: the text.
        raise Usage(f"The limit is above {MOST_KIB}K.")
    # Facts: effective limits are rounded up to the block size.
    return store.round_up(in_kib, store.BLOCK_KIB)


def _off(base: str, state: dict[str, Any], command: str) -> None:
    if store.faults(base).get("quotas") == "off":
        words_ = f"No quota enabled file system found.\n{command}: tslsquota  -Y  failed. "
        raise Failed(22, words_ + "Error code 22.")


def _list(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-j"}, {"-Y", "-v", "-q", "-e"})
    with store.opened(base) as state:
        _off(base, state, command)
        known_filesystem(state, command, options.get("0", ""))
        name = options.get("-j", "")
        if name not in state["filesets"]:
            words_ = f"{state['filesystem']}: no such fileset in quota enabled file systems"
            raise Failed(22, words_)
        # Facts: only what has limits and usage is printed, unless -v is given.
        shown = [name] if name in state["quotas"] or "-v" in options else []
        if "-Y" in options:
            rows = [quota_row(base, state, n) for n in shown]
            return table(command, "fileset", LIST_COLUMNS, rows)
        return _human(state, shown)


def _report(command: str, base: str, args: list[str]) -> str:
    options = words(args, (), {"-j", "-Y", "-v", "-q", "-u", "-g"})
    with store.opened(base) as state:
        _off(base, state, command)
        known_filesystem(state, command, options.get("0", ""))
        if "-Y" not in options:
            return _human(state, list(state["filesets"]))
        users = "-u" in options
        rows = [quota_row(base, state, name) for name in state["filesets"]] if not users else []
        if users:
            rows = [user_row(state, *one) for one in store.faults(base).get("users", {}).items()]
        kind = "USR" if users else "FILESET"
        head = f"*** Report for {kind} quotas on {state['filesystem']}\n"
        return head + table(command, "", REPORT_COLUMNS, rows)


def quota_row(base: str, state: dict[str, Any], name: str) -> dict[str, str]:
    """Return the values of a fileset's row."""
    limits = state["quotas"].get(name, {"block": [0, 0], "files": [0, 0]})
    (soft, hard), (files_soft, files_hard) = limits["block"], limits["files"]
    row = {
        "filesystemName": encode(state["filesystem"]),
        "quotaType": "FILESET",
        "id": str(state["filesets"][name]["id"]),
        "name": encode(name),
        "blockUsage": "0",
        "blockQuota": str(soft),
        "blockLimit": str(hard),
        "blockInDoubt": "0",
        "blockGrace": "none",
        "filesUsage": "1",
        "filesQuota": str(files_soft),
        "filesLimit": str(files_hard),
        "filesInDoubt": "0",
        "filesGrace": "none",
        "remarks": "e" if name in state["quotas"] else "i",
        "quota": "on",
        "defQuota": "off",
    }
    row.update(store.faults(base).get("usage", {}).get(name, {}))
    return row


def user_row(state: dict[str, Any], uid: str, values: dict[str, str]) -> dict[str, str]:
    """Return the values of a user's row."""
    zeros = ("Usage", "Quota", "Limit", "InDoubt")
    return {
        "filesystemName": encode(state["filesystem"]),
        "quotaType": "USR",
        "id": uid,
        "name": uid,
        **{f"{what}{name}": "0" for what in ("block", "files") for name in zeros},
        "blockGrace": "none",
        "filesGrace": "none",
        "remarks": "e",
        "quota": "on",
        "defQuota": "off",
        **values,
    }


def _human(state: dict[str, Any], names: list[str]) -> str:
    # invented: the widths of the header; the rows are as in a public transcript.
    lines = [
        "                         Block Limits              |     File Limits",
        "Name type KB quota limit in_doubt grace | files quota limit in_doubt grace",
    ]
    for name in names:
        if name not in state["quotas"]:
            lines.append(f"{name} FILESET     no limits")
            continue
        (soft, hard), (files, most) = (state["quotas"][name][k] for k in ("block", "files"))
        lines.append(f"{name} FILESET 0 {soft} {hard} 0 none | 1 {files} {most} 0 none")
    return "\n".join(lines) + "\n"


COMMANDS = {"mmsetquota": _set, "mmlsquota": _list, "mmrepquota": _report}
