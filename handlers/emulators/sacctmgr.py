"""An emulated slurmdbd: executables `sacctmgr`, `scontrol` and `squeue` over one JSON file.

Promises: for the commands that the slurm handler and its operators use, the layout of `-P`, the
exit codes and the texts that slurm-wlm 22.05.8 was seen to give. An unknown QOS is refused in the
words of Slurm's source (slurmdb_defs.c). Leaves out: jobs, limits' effects, and any command not
listed here (it ends with code 1 and says so).
"""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("sacctmgr", "scontrol", "squeue")

LIMITS = {
    "fairshare": "Fairshare",
    "grpjobs": "GrpJobs",
    "grptres": "GrpTRES",
    "grpsubmitjobs": "GrpSubmit",
    "grpsubmit": "GrpSubmit",
    "grpwall": "GrpWall",
    "grptresmins": "GrpTRESMins",
    "maxjobs": "MaxJobs",
    "maxtres": "MaxTRES",
    "maxsubmitjobs": "MaxSubmit",
    "maxsubmit": "MaxSubmit",
    "maxwall": "MaxWall",
    "maxtresmins": "MaxTRESMins",
    "qos": "QOS",
    "defaultqos": "DefaultQOS",
}

_LAUNCHER = """\
#!{python}
import sys
sys.path.insert(0, {root!r})
from handlers.emulators.sacctmgr import main
sys.exit(main({program!r}, sys.argv[1:], {state!r}))
"""


def install(directory: Path, clusters: Sequence[str] = ("a", "b")) -> Path:
    """Make the executables and an empty slurmdbd below a directory; return where they are."""
    programs = directory / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    state = directory / "slurmdbd.json"
    if not state.exists():
        state.write_text(json.dumps(_empty(clusters)))
    root = str(Path(__file__).resolve().parents[2])
    for program in PROGRAMS:
        path = programs / program
        path.write_text(
            _LAUNCHER.format(python=sys.executable, root=root, program=program, state=str(state))
        )
        path.chmod(0o755)
    return programs


def _empty(clusters: Sequence[str]) -> dict[str, Any]:
    assocs: list[dict[str, Any]] = [
        {"cluster": c, "account": "root", "user": user, "parent": "", "limits": {}}
        for c in clusters
        for user in ("", "root")
    ]
    return {
        "clusters": list(clusters),
        "accounts": {"root": {"description": "default root account", "organization": "root"}},
        "users": {"root": {"default": dict.fromkeys(clusters, "root")}},
        "assocs": assocs,
        "failed": [],
        "jobs": [],
    }


@contextmanager
def _state(path: str) -> Iterator[dict[str, Any]]:
    """Read the state under a lock, and write it back when it was changed."""
    with open(f"{path}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = Path(path).read_text()
        state = json.loads(text)
        yield state
        after = json.dumps(state)
        if after != text:
            # All or nothing, as a database does it: a caller's death must not empty it.
            fresh = Path(f"{path}.new")
            fresh.write_text(after)
            fresh.replace(path)


class _Refused(Exception):
    """What the program says before it ends with 1."""


def main(program: str, arguments: Sequence[str], state: str) -> int:
    """Run one of the programs; return its exit code."""
    try:
        with _state(state) as data:
            if program == "scontrol":
                _scontrol(data, arguments)
            elif program == "squeue":
                _squeue(data, arguments)
            else:
                _sacctmgr(data, arguments)
    except _Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


def _sacctmgr(state: dict[str, Any], arguments: Sequence[str]) -> None:
    words = [word for word in arguments if not word.startswith("-")]
    verb, entity, *rest = [*words, "", ""][:2] + words[2:] if len(words) > 1 else ["", ""]
    commands: dict[tuple[str, str], Callable[[dict[str, Any], list[str]], None]] = {
        ("show", "assoc"): _show_assoc,
        ("show", "user"): _show_user,
        ("show", "account"): _show_account,
        ("show", "cluster"): _show_cluster,
        ("show", "qos"): _show_qos,
        ("add", "account"): _add_account,
        ("add", "user"): _add_user,
        ("modify", "account"): _modify_account,
        ("modify", "user"): _modify_user,
        ("delete", "user"): _delete_user,
    }
    command = commands.get((verb, entity))
    if command is None:
        raise _Refused(f"emulated sacctmgr: no command {verb} {entity}")
    command(state, rest)


def _options(words: Sequence[str]) -> dict[str, str]:
    """Read KEY=VALUE words; `where` and `set` are for the callers."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            found[key.lower()] = value
        elif word not in ("where", "withassoc", "withcoord", "set") and "names" not in found:
            found["names"] = word
    return found


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _print(rows: Sequence[dict[str, str]], options: dict[str, str]) -> None:
    columns = _names(options.get("format", ""))
    for row in rows:
        print("|".join(row.get(column.lower(), "") for column in columns))


def _show_assoc(state: dict[str, Any], words: list[str]) -> None:
    options = _options(words)
    rows = []
    for assoc in _matching(state, options):
        row = {
            "cluster": assoc["cluster"],
            "account": assoc["account"],
            "user": assoc["user"],
            "parentname": assoc["parent"],
            "fairshare": "1",
        }
        # `wopi`: without parent information; inherited are the cluster's QOS, and what an account
        # says of each of its users' jobs.
        if "wopi" not in words:
            row["qos"] = "normal"
            row |= _inherited(state, assoc)
        row |= {name.lower(): value for name, value in assoc["limits"].items()}
        rows.append(row)
    _print(rows, options)


def _inherited(state: dict[str, Any], assoc: dict[str, Any]) -> dict[str, str]:
    """Return the limits that an association has from its account, and that from its parent."""
    above = assoc["account"] if assoc["user"] else assoc["parent"]
    found = _find(state, assoc["cluster"], above, "") if above else None
    if found is None:
        return {}
    own = {k.lower(): v for k, v in found["limits"].items() if k.lower().startswith("max")}
    return _inherited(state, found) | own


def _matching(state: dict[str, Any], options: dict[str, str]) -> list[dict[str, Any]]:
    wanted = {
        "cluster": _names(options.get("cluster", "")),
        "account": _names(options.get("account", "")),
        "user": _names(options.get("user", options.get("name", ""))),
    }
    return [
        assoc
        for assoc in state["assocs"]
        if all(not names or assoc[key] in names for key, names in wanted.items())
    ]


def _show_user(state: dict[str, Any], words: list[str]) -> None:
    options = _options(words)
    names = _names(options.get("name", ""))
    clusters = _names(options.get("cluster", "")) or state["clusters"]
    rows = [
        {
            "user": user,
            "defaultaccount": known["default"].get(cluster, ""),
            "adminlevel": known.get("admin", "None"),
            "coordinators": known.get("coord", ""),
        }
        for user, known in state["users"].items()
        if not names or user in names
        for cluster in clusters
        if cluster in known["default"]
    ]
    _print(rows, options)


def _show_account(state: dict[str, Any], words: list[str]) -> None:
    options = _options(words)
    names = _names(options.get("name", ""))
    rows = [
        {"account": name, **known}
        for name, known in state["accounts"].items()
        if not names or name in names
    ]
    _print(rows, options)


def _show_cluster(state: dict[str, Any], words: list[str]) -> None:
    _print([{"cluster": name} for name in state["clusters"]], _options(words))


def _show_qos(state: dict[str, Any], words: list[str]) -> None:
    _print([{"name": name} for name in _qos(state)], _options(words))


def _qos(state: dict[str, Any]) -> list[str]:
    """List the QOS: a new slurmdbd has `normal`."""
    return list(state.get("qos", ["normal"]))


def _check_qos(state: dict[str, Any], options: dict[str, str]) -> None:
    known = _qos(state)
    for key, value in options.items():
        if key.rstrip("+") in ("qos", "defaultqos"):
            unknown = [n for n in _names(value) if n.lower() not in known and n != "-1"]
            if unknown:
                text = f"You gave a bad qos '{unknown[0]}'. Valid QOS's are {','.join(known)}"
                raise _Refused(f"sacctmgr: error: {text}")


def _clusters(state: dict[str, Any], options: dict[str, str]) -> list[str]:
    """Without `cluster=` an add goes to every cluster of the slurmdbd."""
    clusters = _names(options.get("cluster", "")) or list(state["clusters"])
    unknown = [name for name in clusters if name not in state["clusters"]]
    if unknown:
        raise _Refused(f" This cluster '{unknown[0]}' doesn't exist.")
    return clusters


def _find(state: dict[str, Any], cluster: str, account: str, user: str) -> dict[str, Any] | None:
    for assoc in state["assocs"]:
        if (assoc["cluster"], assoc["account"], assoc["user"]) == (cluster, account, user):
            found: dict[str, Any] = assoc
            return found
    return None


def _set_limits(assoc: dict[str, Any], options: dict[str, str]) -> None:
    for key, value in options.items():
        name = LIMITS.get(key.rstrip("+"))
        if name is None:
            continue
        old = _names(assoc["limits"].get(name, "normal")) if key.endswith("+") else []
        if value == "-1":
            assoc["limits"].pop(name, None)
        else:
            assoc["limits"][name] = ",".join(dict.fromkeys([*old, *_names(value)]))


def _add_account(state: dict[str, Any], words: list[str]) -> None:
    options = _options(words)
    _check_qos(state, options)
    added = []
    for cluster in _clusters(state, options):
        for name in (n.lower() for n in _names(options.get("names", ""))):
            parent = options.get("parent", "root").lower()
            if _find(state, cluster, parent, "") is None:
                raise _Refused(f" This parent account '{parent}' doesn't exist.")
            if _find(state, cluster, name, "") is not None:
                continue
            state["accounts"].setdefault(
                name,
                {
                    # sacctmgr keeps both in lower case.
                    "description": options.get("description", name).lower(),
                    "organization": options.get("organization", parent).lower(),
                },
            )
            assoc = {
                "cluster": cluster,
                "account": name,
                "user": "",
                "parent": parent,
                "limits": {},
            }
            _set_limits(assoc, options)
            state["assocs"].append(assoc)
            added.append(name)
    if not added:
        raise _Refused(" Nothing new added.")
    print(" Adding Account(s)\n" + "\n".join(f"  {name}" for name in added))


def _add_user(state: dict[str, Any], words: list[str]) -> None:
    options = _options(words)
    _check_qos(state, options)
    added = []
    for cluster in _clusters(state, options):
        for account in _names(options.get("account", "").lower()):
            if _find(state, cluster, account, "") is None:
                raise _Refused(f" This account '{account}' doesn't exist.")
            for name in _names(options.get("names", "")):
                if _find(state, cluster, account, name) is not None:
                    continue
                known = state["users"].setdefault(name, {"default": {}})
                known["default"].setdefault(cluster, account)
                assoc = {
                    "cluster": cluster,
                    "account": account,
                    "user": name,
                    "parent": "",
                    "limits": {},
                }
                _set_limits(assoc, options)
                state["assocs"].append(assoc)
                added.append(name)
    if not added:
        raise _Refused(" Nothing new added.")
    print(" Adding User(s)\n" + "\n".join(f"  {name}" for name in added))


def _where_and_set(words: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    cut = words.index("set") if "set" in words else len(words)
    return _options(words[:cut]), _options(words[cut + 1 :])


def _modify_account(state: dict[str, Any], words: list[str]) -> None:
    where, values = _where_and_set(words)
    _check_qos(state, values)
    names = _names(where.get("name", ""))
    named = _matching(state, {**where, "account": where.get("name", ""), "name": ""})
    found = [assoc for assoc in named if assoc["user"] == "" and assoc["account"] in names]
    if not found:
        raise _Refused(" Nothing modified")
    for assoc in found:
        _set_limits(assoc, values)
        if "parent" in values:
            assoc["parent"] = values["parent"].lower()
        for key in ("description", "organization"):
            if key in values:
                state["accounts"][assoc["account"]][key] = values[key].lower()
    print(" Modified account associations...\n" + "\n".join(f"  {a['account']}" for a in found))


def _modify_user(state: dict[str, Any], words: list[str]) -> None:
    where, values = _where_and_set(words)
    _check_qos(state, values)
    found = [assoc for assoc in _matching(state, where) if assoc["user"]]
    if not found:
        raise _Refused(" Nothing modified")
    for assoc in found:
        _set_limits(assoc, values)
    account = values.get("defaultaccount")
    for assoc in found if account else ():
        if _find(state, assoc["cluster"], str(account), assoc["user"]) is None:
            raise _Refused(" Nothing modified")
        state["users"][assoc["user"]]["default"][assoc["cluster"]] = account
    print(" Modified user associations...\n" + "\n".join(f"  {a['user']}" for a in found))


def _delete_user(state: dict[str, Any], words: list[str]) -> None:
    options = _options(words)
    found = [assoc for assoc in _matching(state, options) if assoc["user"]]
    if not found:
        raise _Refused(" Nothing deleted")
    for assoc in found:
        job = {"account": assoc["account"], "user": assoc["user"]}
        if job in state["jobs"]:
            raise _Refused(" Error with request: Job(s) active, cancel job(s) before remove")
        known = state["users"][assoc["user"]]["default"]
        others = [
            other
            for other in state["assocs"]
            if other["user"] == assoc["user"]
            and other["cluster"] == assoc["cluster"]
            and other not in found
        ]
        if known.get(assoc["cluster"]) == assoc["account"] and others:
            raise _Refused(" Error with request: You can not remove the default account of a user")
    for assoc in found:
        state["assocs"].remove(assoc)
    for name in {assoc["user"] for assoc in found}:
        left = [assoc for assoc in state["assocs"] if assoc["user"] == name]
        default = state["users"][name]["default"]
        for cluster in list(default):
            if not any(assoc["cluster"] == cluster for assoc in left):
                del default[cluster]
        if not left:
            del state["users"][name]
            state["failed"] = [user for user in state["failed"] if user != name]
    print(" Deleting user associations...\n" + "\n".join(f"  {a['user']}" for a in found))


def _scontrol(state: dict[str, Any], arguments: Sequence[str]) -> None:
    if list(arguments[:1]) == ["reconfigure"]:
        state["failed"] = []
        return
    if list(arguments[:2]) == ["show", "assoc_mgr"]:
        names = _names(_options(arguments[2:]).get("users", ""))
        print("Current Association Manager state\n\nUser Records\n")
        for number, user in enumerate(state["users"], 1000):
            if names and user not in names:
                continue
            failed = user in state["failed"]
            default = next(iter(state["users"][user]["default"].values()), "(null)")
            print(f"UserName={user}({4294967294 if failed else number}) DefAccount={default}")
        return
    raise _Refused(f"emulated scontrol: no command {' '.join(arguments)}")


def _squeue(state: dict[str, Any], arguments: Sequence[str]) -> None:
    options = _options([word.lstrip("-") for word in arguments])
    users = _names(options.get("users", ""))
    for number, job in enumerate(state["jobs"], 1):
        if job["account"] == options.get("account") and (not users or job["user"] in users):
            print(number)
