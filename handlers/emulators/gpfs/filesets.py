"""Emulated mmcrfileset, mmlinkfileset, mmunlinkfileset, mmchfileset and mmlsfileset."""

# Importing pathlib would cost every command a third of its start.
# ruff: noqa: PTH100, PTH101, PTH102, PTH104, PTH112, PTH118, PTH120

from __future__ import annotations

import os

from handlers.emulators.gpfs import store
from handlers.emulators.gpfs.text import Failed, Usage, encode, encode_path, size, table, words

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from typing import Any

# From a real header (facts, sample of mmlsfileset); the columns nothing here uses are `-`.
COLUMNS = (  # noqa: SIM905
    "filesystemName:filesetName:id:rootInode:status:path:parentId:created:inodes:dataInKB:"
    "comment:filesetMode:afmTarget:afmState:afmMode:afmFileLookupRefreshInterval:"
    "afmFileOpenRefreshInterval:afmDirLookupRefreshInterval:afmDirOpenRefreshInterval:"
    "afmAsyncDelay:afmNeedsRecovery:afmExpirationTimeout:afmRPO:afmLastPSnapId:inodeSpace:"
    "isInodeSpaceOwner:maxInodes:allocInodes:inodeSpaceMask:afmShowHomeSnapshots:"
    "afmNumReadThreads:reserved:afmReadBufferSize:afmWriteBufferSize:afmReadSparseThreshold:"
    "afmParallelReadChunkSize:afmParallelReadThreshold:snapId:afmNumFlushThreads:"
    "afmPrefetchThreshold:afmEnableAutoEviction:permChangeFlag:afmParallelWriteThreshold:"
    "freeInodes:afmNeedsResync:afmParallelWriteChunkSize:afmNumWriteThreads:afmPrimaryID:"
    "afmDRState:afmAssociatedPrimaryId:afmDIO"
).split(":")

_FORBIDDEN = set("/?$&*()`#|[]\\ \t\n")


def known_filesystem(state: dict[str, Any], command: str, name: str) -> None:
    """Raise Failed for a file system that is not this one."""
    if name.removeprefix("/dev/") != state["filesystem"]:
        words_ = f"{command}: File system {name} is not known to the GPFS cluster."
        raise Failed(1, words_, "6027-1388")


def known_fileset(state: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a fileset, or raise Failed for an unknown one (facts: exit code 22)."""
    fileset: dict[str, Any] | None = state["filesets"].get(name)
    if fileset is None:
        raise Failed(22, f"Fileset named {name} does not exist.")
    return fileset


def _mounted(base: str, state: dict[str, Any]) -> None:
    if store.faults(base).get("mounted", True) is False:
        words_ = "ERROR: file system not mounted. "
        raise Failed(1, words_ + f"Mount file system {state['filesystem']} and retry command.")


def _inode_limit(text: str) -> tuple[int, int]:
    limit, _, prealloc = text.partition(":")
    most = size(limit, "km")
    return most, size(prealloc, "km") if prealloc else min(most, 1024)


def _create(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-t", "--inode-space", "--inode-limit", "--allow-permission-change"})
    with store.opened(base, write=True) as state:
        known_filesystem(state, command, options.get("0", ""))
        name = options.get("1", "")
        if not 1 <= len(name) <= 255 or name in {"new"} or _FORBIDDEN & set(name):
            # invented: the text and the exit code.
            raise Failed(22, f"Incorrect fileset name: {name}")
        if name in state["filesets"]:
            raise Failed(17, f"Fileset {name} already exists.")
        space = options.get("--inode-space", "root")
        if "--inode-limit" in options and space != "new":
            raise Usage("--inode-limit needs --inode-space new")
        if space != "new" and not known_fileset(state, space)["owner"]:
            # invented: the text and the exit code.
            raise Failed(22, f"Fileset {space} does not own an inode space.")
        # invented: the default limit (100352 is what one listing shows beside no explicit one).
        limit, prealloc = _inode_limit(options.get("--inode-limit", "100352"))
        comment = options.get("-t", "")
        made = store.add_fileset(state, name, comment, space, limit, prealloc)
        return f"Fileset {name} created with id {made['id']} root inode {made['inode']}.\n"


def _link(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-J"})
    with store.opened(base, write=True) as state:
        known_filesystem(state, command, options.get("0", ""))
        name = options.get("1", "")
        fileset = known_fileset(state, name)
        _mounted(base, state)
        path = os.path.abspath(options.get("-J", name))
        if fileset["status"] == "Linked":
            # invented: the text; exit code 56 is what one public client takes for this.
            raise Failed(56, f"Fileset {name} is already linked.")
        if os.path.lexists(path):
            # invented: the text and the exit code.
            raise Failed(17, f"The junction path {path} already exists.")
        above = os.path.dirname(path)
        if not os.path.isdir(above) or not above.startswith(state["mount"]):
            # invented: the text (after that of the REST API, EFSSG0763C) and the exit code.
            raise Failed(2, f"The parent directory {above} of the junction path does not exist.")
        around = store.holder(state, above)
        if not fileset["owner"] and around["space"] != fileset["space"]:
            # invented: the exit code.
            raise Failed(22, f"Fileset {name} can only be linked within its own inode space.")
        _place(base, state, fileset, path)
        # The host's directory has another inode; stat shows the fileset's instead.
        state["inodes"][str(os.lstat(path).st_ino)] = fileset["inode"]
        fileset |= {"status": "Linked", "path": path, "parent": str(around["id"])}
        return f"Fileset {name} linked at {path}\n"


def _place(base: str, state: dict[str, Any], fileset: dict[str, Any], path: str) -> None:
    """Make a root directory, or bring back the one that was unlinked."""
    kept = os.path.join(base, store.UNLINKED, fileset["name"])
    if os.path.isdir(kept):
        os.rename(kept, path)
        return
    os.mkdir(path, 0o700)
    if state["real"]:
        os.chown(path, 0, 0)
        os.chmod(path, 0o700)
    # Facts: a new root directory belongs to root and has mode 0700.
    state["paths"][path] = {"uid": 0, "gid": 0, "mode": 0o700}


def _unlink(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-J"}, {"-f"})
    with store.opened(base, write=True) as state:
        known_filesystem(state, command, options.get("0", ""))
        name = options.get("1", "")
        by_path = [f["name"] for f in state["filesets"].values() if f["path"] == options.get("-J")]
        fileset = known_fileset(state, by_path[0] if by_path else name)
        if fileset["status"] != "Linked" or fileset["name"] == "root":
            # invented: the text and the exit code.
            raise Failed(22, f"Fileset {fileset['name']} is not linked.")
        path = fileset["path"]
        inside = [f for f in state["filesets"].values() if f["path"].startswith(path + "/")]
        if inside:
            # invented: the text and the exit code.
            raise Failed(16, f"Fileset {fileset['name']} has linked child filesets.")
        os.rename(path, os.path.join(base, store.UNLINKED, fileset["name"]))
        fileset |= {"status": "Unlinked", "path": "", "parent": "--"}
        return f"Fileset {fileset['name']} unlinked.\n"


def _change(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-t", "--inode-limit", "--allow-permission-change", "-j"})
    with store.opened(base, write=True) as state:
        known_filesystem(state, command, options.get("0", ""))
        fileset = known_fileset(state, options.get("1", ""))
        output = ""
        if "-t" in options:
            fileset["comment"] = options["-t"]
        if "--inode-limit" in options:
            limit, _ = _inode_limit(options["--inode-limit"])
            if not fileset["owner"]:
                # invented: the text and the exit code.
                raise Failed(22, f"Fileset {fileset['name']} is not independent.")
            allocated = grown(base, fileset)["alloc"]
            if limit < allocated:
                # invented: the text and the exit code.
                raise Failed(22, f"The inode limit is below the {allocated} allocated.")
            fileset["max"] = store.round_up(limit, 1024)
            output = f"Set maxInodes for inode space {fileset['space']} to {fileset['max']}\n"
        if "-j" in options:
            # The junction stays where it is.
            former, fileset["name"] = fileset["name"], options["-j"]
            for kept in (state["filesets"], state["quotas"]):
                if former in kept:
                    kept[fileset["name"]] = kept.pop(former)
        return output + f"Fileset {fileset['name']} changed.\n"


def _list(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-J", "-F"}, {"-L", "-Y", "-i", "-d", "-X"})
    with store.opened(base) as state:
        known_filesystem(state, command, options.get("0", ""))
        if "1" in options:
            chosen = [known_fileset(state, name) for name in options["1"].split(",")]
        else:
            chosen = list(state["filesets"].values())
        chosen = [grown(base, fileset) for fileset in chosen]
        if "-Y" in options:
            rows = [_row(state["filesystem"], fileset) for fileset in chosen]
            return table(command, "", COLUMNS, rows, missing="-")
        lines = [f"Filesets in file system '{state['filesystem']}':"]
        if "-L" in options:
            lines.append(
                "Name                            Id      RootInode  ParentId Created"
                "                      InodeSpace      MaxInodes    AllocInodes Comment"
            )
            lines += [
                f"{f['name']:<28} {f['id']:>5} {f['inode']:>14} {f['parent']:>9} {f['created']} "
                f"{f['space']:>8} {f['max']:>20} {f['alloc']:>14} {f['comment']}"
                for f in chosen
            ]
        else:
            lines.append("Name                     Status    Path")
            lines += [f"{f['name']:<24} {f['status']:<9} {f['path'] or '--'}" for f in chosen]
        return "\n".join(lines) + "\n"


def grown(base: str, fileset: dict[str, Any]) -> dict[str, Any]:
    """Return a fileset with as many inodes as the switch says have been allocated."""
    allocated = store.faults(base).get("inodes", {}).get(fileset["name"], fileset["alloc"])
    # invented: by how much the file system raises a limit that is reached.
    raised = store.round_up(allocated, 1024) + 1024 if allocated > fileset["alloc"] else 0
    return {**fileset, "alloc": allocated, "max": max(fileset["max"], raised)}


def _row(filesystem: str, fileset: dict[str, Any]) -> dict[str, str]:
    own = fileset["owner"]
    return {
        "filesystemName": encode(filesystem),
        "filesetName": encode(fileset["name"]),
        "id": str(fileset["id"]),
        "rootInode": str(fileset["inode"]),
        "status": fileset["status"],
        "path": encode_path(fileset["path"] or "--"),
        "parentId": fileset["parent"],
        "created": encode(fileset["created"]),
        "comment": encode(fileset["comment"]),
        "filesetMode": "off",
        "inodeSpace": str(fileset["space"]),
        "isInodeSpaceOwner": "1" if own else "0",
        # Facts: dependent filesets show 0 for all three.
        "maxInodes": str(fileset["max"] if own else 0),
        "allocInodes": str(fileset["alloc"] if own else 0),
        "freeInodes": str(max(fileset["alloc"] - 1, 0) if own else 0),
        "inodeSpaceMask": "14336",
        "snapId": "0",
        "permChangeFlag": "chmodAndSetacl",
    }


COMMANDS = {
    "mmcrfileset": _create,
    "mmlinkfileset": _link,
    "mmunlinkfileset": _unlink,
    "mmchfileset": _change,
    "mmlsfileset": _list,
}
