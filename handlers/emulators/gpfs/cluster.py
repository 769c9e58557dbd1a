"""Emulated mmlsfs, mmgetstate and mmlsconfig."""

from __future__ import annotations

import os

from handlers.emulators.gpfs import store
from handlers.emulators.gpfs.filesets import known_filesystem
from handlers.emulators.gpfs.text import encode, encode_path, table, words

STATE_COLUMNS = (  # noqa: SIM905
    "nodeName:nodeNumber:state:quorum:nodesUp:totalNodes:remarks:cnfsState:daemonShortName:"
    "daemonNodeName"
).split(":")


def _filesystem(command: str, base: str, args: list[str]) -> str:
    options = words(args, (), {"-Y", "-Q", "-B", "-T", "-k", "--perfileset-quota"})
    with store.opened(base) as state:
        known_filesystem(state, command, options.get("0", ""))
        off = store.faults(base).get("quotas") == "off"
        enforced = "none" if off else state["enforced"]
        values = {
            "blockSize": str(store.BLOCK_KIB * 1024),
            "quotasAccountingEnabled": enforced,
            "quotasEnforced": enforced,
            "defaultQuotasEnabled": "none",
            "perfilesetQuotas": "No",
            "filesetdfEnabled": "No",
            "ACLSemantics": store.faults(base).get("acl", "nfs4"),
            "filesystemVersion": "22.00 (5.0.4.0)",
            "defaultMountPoint": state["mount"],
        }
        if "-Y" not in options:
            return (
                "flag                value                    description\n"
                "------------------- ------------------------ -----------------------------------\n"
                f" -Q                 {values['quotasAccountingEnabled']:<24} "
                "Quotas accounting enabled\n"
                f"                    {values['quotasEnforced']:<24} Quotas enforced\n"
                "                    none                     Default quotas enabled\n"
                " --perfileset-quota no                       Per-fileset quota enforcement\n"
            )
        rows = [
            {
                "deviceName": state["filesystem"],
                "fieldName": name,
                "data": encode_path(value) if name == "defaultMountPoint" else encode(value),
            }
            for name, value in values.items()
        ]
        return table(command, "", ("deviceName", "fieldName", "data", "remarks"), rows)


def _state(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-N"}, {"-Y", "-a"})
    down = store.faults(base).get("daemon") == "down"
    state = "down" if down else "active"
    node = os.uname().nodename.split(".")[0]
    if "-Y" not in options:
        return f"\n Node number  Node name  GPFS state\n{'-' * 40}\n{1:>12}  {node}  {state}\n"
    up = "0" if down else "1"
    values = (node, "1", state, "1", up, "1", "quorum node", "(undefined)", node, node)
    rows = [dict(zip(STATE_COLUMNS, map(encode, values), strict=True))]
    return table(command, "", STATE_COLUMNS, rows)


def _config(command: str, base: str, args: list[str]) -> str:
    words(args, (), {"-Y"})
    rows = [
        {"configParameter": "minReleaseLevel", "value": store.release(base)},
        {"configParameter": "enforceFilesetQuotaOnRoot", "value": "yes"},
    ]
    return table(command, "", ("configParameter", "value", "nodeList"), rows)


COMMANDS = {"mmlsfs": _filesystem, "mmgetstate": _state, "mmlsconfig": _config}
