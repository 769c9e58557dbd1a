"""Emulated `sacctmgr`: what its commands do to an emulated slurmdbd, and print.

Promises: for the commands that the slurm handler and its operators use, the layout of `-P` and the
texts that slurm-wlm 22.05.8 printed. Leaves out: limits (`sacctmgr_limits`), any command not listed
here (it is refused), the program itself (`programs`), and storage (`slurmdbd`).
"""

from __future__ import annotations

import sys

from handlers.emulators.slurm import sacctmgr_limits
from handlers.emulators.slurm.slurmdbd import Slurmdbd, association

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from handlers.emulators.slurm.sacctmgr_limits import Limits
    from handlers.emulators.slurm.slurmdbd import Row

_NO_LIMITS = frozenset(
    ("account", "cluster", "defaultaccount", "description", "name", "names", "organization",
     "parent", "partition", "user")
)  # fmt: skip


class Refused(Exception):
    """What a program says before it exits with 1."""


def writes(arguments: Sequence[str]) -> bool:
    """Return True if a command may change something."""
    return _words(arguments)[0] != "show"


def run(data: Slurmdbd, arguments: Sequence[str]) -> None:
    """Run a command. Raises Refused."""
    verb, entity, *words = _words(arguments)
    command = _COMMANDS.get((verb, entity))
    if command is None:
        raise Refused(f"emulated sacctmgr: no command {verb} {entity}")
    command(data, words)


def _words(arguments: Sequence[str]) -> list[str]:
    words = [word for word in arguments if not word.startswith("-")]
    return words + [""] * (2 - len(words))


def options_of(words: Sequence[str]) -> dict[str, str]:
    """Return KEY=VALUE words as a mapping; callers handle `where` and `set`."""
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            options[key.lower()] = value
        elif word not in ("where", "withassoc", "withcoord", "set") and "names" not in options:
            options["names"] = word
    return options


def names_of(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _print(rows: Sequence[dict[str, str]], options: dict[str, str]) -> None:
    keys = [column.lower() for column in names_of(options.get("format", ""))]
    lines = ("|".join(row.get(key, "") for key in keys) for row in rows)
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _show_assoc(data: Slurmdbd, words: list[str]) -> None:
    options = options_of(words)
    rows = []
    for assoc in _matching(data, options):
        named = {name: assoc[name] for name in ("cluster", "account", "user", "partition")}
        # `wopl`: without limits inherited from accounts, and without the cluster's QOS.
        own = "wopl" in words or "wopi" in words
        inherited = [] if own else above(data, assoc)
        limits = sacctmgr_limits.row(assoc["limits"], inherited, "withrawqos" in words)
        rows.append({**named, "parentname": assoc["parent"], **limits})
    _print(rows, options)


def above(data: Slurmdbd, assoc: Row) -> list[Limits]:
    """Return the limits of the accounts above an association, the nearest first."""
    account = assoc["account"] if assoc["user"] else assoc["parent"]
    parent = data.find(assoc["cluster"], account) if account else None
    if parent is None:
        return [{"qos": {"": ["normal"]}}]
    return [parent["limits"], *above(data, parent)]


def _matching(data: Slurmdbd, options: dict[str, str]) -> list[Row]:
    return data.matching(
        cluster=names_of(options.get("cluster", "")),
        account=names_of(options.get("account", "")),
        user=names_of(options.get("user", options.get("name", ""))),
        # `partition=""` is the one without.
        partition=[one.strip('"') for one in names_of(options.get("partition", ""))],
    )


def _show_user(data: Slurmdbd, words: list[str]) -> None:
    options = options_of(words)
    names = names_of(options.get("name", ""))
    clusters = names_of(options.get("cluster", "")) or data.clusters
    of_user: dict[tuple[str, str], list[Row]] = {}
    for row in data.matching() if "withassoc" in words else ():
        of_user.setdefault((row["cluster"], row["user"]), []).append(row)
    rows = [
        {
            "user": user,
            "defaultaccount": known["default"].get(cluster, ""),
            "adminlevel": known.get("admin", "None"),
            "coordinators": known.get("coord", ""),
            "account": assoc["account"],
            "partition": assoc["partition"],
        }
        for user, known in data.users.items()
        if not names or user in names
        for cluster in clusters
        if cluster in known["default"]
        for assoc in of_user.get((cluster, user), [_NONE])
    ]
    _print(rows, options)


_NONE: Row = {"account": "", "partition": ""}


def _show_account(data: Slurmdbd, words: list[str]) -> None:
    options = options_of(words)
    names = names_of(options.get("name", ""))
    rows = [
        {"account": name, **known}
        for name, known in data.accounts.items()
        if not names or name in names
    ]
    _print(rows, options)


def _show_cluster(data: Slurmdbd, words: list[str]) -> None:
    _print([{"cluster": name} for name in data.clusters], options_of(words))


def _show_qos(data: Slurmdbd, words: list[str]) -> None:
    _print([{"name": name} for name in data.qos], options_of(words))


def _show_config(data: Slurmdbd, words: list[str]) -> None:
    """Show the lines, of about eighty, that the handler reads."""
    print("SlurmDBD configuration:")
    print(f"PurgeJobAfter          = {data.purged}")
    print("SLURMDBD_VERSION       = 22.05.8")


def _show_tres(data: Slurmdbd, words: list[str]) -> None:
    rows = (name.partition("/") for name in data.tres)
    _print([{"type": kind, "name": name} for kind, _, name in rows], options_of(words))


def _clusters(data: Slurmdbd, options: dict[str, str]) -> list[str]:
    """Return the clusters of an add: without `cluster=`, every cluster of the slurmdbd."""
    clusters = names_of(options.get("cluster", "")) or list(data.clusters)
    unknown = [name for name in clusters if name not in data.clusters]
    if unknown:
        raise Refused(f" This cluster '{unknown[0]}' doesn't exist.")
    return clusters


def _set_limits(data: Slurmdbd, assoc: Row, words: Sequence[str]) -> None:
    options = []
    for word in words:
        key, equals, value = word.partition("=")
        sign = key[-1:] if key[-1:] in ("+", "-") else ""
        if equals and key.lower() not in _NO_LIMITS:
            options.append((key.removesuffix(sign), f"{sign}=", value))
    try:
        sacctmgr_limits.set_options(assoc["limits"], options, data.qos, data.tres)
    except sacctmgr_limits.Wrong as wrong:
        raise Refused(str(wrong)) from None


def _set_limits_of(data: Slurmdbd, associations: Sequence[Row], words: list[str]) -> bool:
    """Set limits of associations; one whose default QOS is not among its own stops all.

    22.05.8 then exits with 0.
    """
    import copy  # most commands do not need it

    before = [copy.deepcopy(assoc["limits"]) for assoc in associations]
    for assoc in associations:
        _set_limits(data, assoc, _set_part(words))
    wrong = [assoc for assoc in associations if not _may_use_default(data, assoc)]
    if not wrong:
        return True
    for assoc, limits in zip(associations, before, strict=True):
        assoc["limits"] = limits
    sys.stderr.write(" These associations don't have access to their default qos.\n")
    for assoc in wrong:
        sys.stderr.write(f"  C = {assoc['cluster']} A = {assoc['account']} U = {assoc['user']}\n")
    return False


def _may_use_default(data: Slurmdbd, assoc: Row) -> bool:
    limits = sacctmgr_limits.row(assoc["limits"], above(data, assoc), raw=False)
    default = limits.get("defaultqos", "")
    return not default or default in names_of(limits.get("qos", ""))


def _add_account(data: Slurmdbd, words: list[str]) -> None:
    options = options_of(words)
    added = []
    for cluster in _clusters(data, options):
        for name in (n.lower() for n in names_of(options.get("names", ""))):
            parent = options.get("parent", "root").lower()
            if data.find(cluster, parent) is None:
                raise Refused(f" This parent account '{parent}' doesn't exist.")
            if data.find(cluster, name) is not None:
                continue
            data.accounts.setdefault(
                name,
                {
                    # sacctmgr keeps both in lower case.
                    "description": options.get("description", name).lower(),
                    "organization": options.get("organization", parent).lower(),
                },
            )
            assoc = association(cluster, name, parent=parent)
            _set_limits(data, assoc, words)
            data.add(assoc)
            added.append(name)
    if not added:
        raise Refused(" Nothing new added.")
    print(" Adding Account(s)\n" + "\n".join(f"  {name}" for name in added))


def _add_user(data: Slurmdbd, words: list[str]) -> None:
    options = options_of(words)
    added = []
    for cluster in _clusters(data, options):
        for account in names_of(options.get("account", "").lower()):
            if data.find(cluster, account) is None:
                raise Refused(f" This account '{account}' doesn't exist.")
            for name in names_of(options.get("names", "")):
                known = data.users.get(name, {"default": {}})["default"]
                first = known.get(cluster, account) == account and not data.matching(
                    cluster=[cluster], user=[name]
                )
                for partition in names_of(options.get("partition", "").lower()) or [""]:
                    if data.find(cluster, account, name, partition) is not None:
                        continue
                    data.users.setdefault(name, {"default": known})
                    known.setdefault(cluster, account)
                    assoc = association(cluster, account, name, partition, default=first)
                    _set_limits(data, assoc, words)
                    data.add(assoc)
                    added.append(name)
    if not added:
        raise Refused(" Nothing new added.")
    # slurmctld then looks up all associations again, but not a user's own record.
    data.failed_rows = []
    print(" Adding User(s)\n" + "\n".join(f"  {name}" for name in added))


def _add_qos(data: Slurmdbd, words: list[str]) -> None:
    added = [
        name
        for name in names_of(options_of(words).get("names", "").lower())
        if name not in data.qos
    ]
    if not added:
        raise Refused(" Nothing new added.")
    data.qos += added
    print(" Adding QOS(s)\n" + "\n".join(f"  {name}" for name in added))


def _where_and_set(words: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    cut = words.index("set") if "set" in words else len(words)
    return options_of(words[:cut]), options_of(words[cut + 1 :])


def _set_part(words: list[str]) -> list[str]:
    return words[words.index("set") + 1 :] if "set" in words else []


def _modify_account(data: Slurmdbd, words: list[str]) -> None:
    where, values = _where_and_set(words)
    names = names_of(where.get("name", ""))
    named = _matching(data, {**where, "account": where.get("name", ""), "name": ""})
    associations = [assoc for assoc in named if assoc["user"] == "" and assoc["account"] in names]
    if not associations:
        raise Refused(" Nothing modified")
    if not _set_limits_of(data, associations, words):
        return
    for assoc in associations:
        if "parent" in values:
            assoc["parent"] = values["parent"].lower()
        for key in ("description", "organization"):
            if key in values:
                data.accounts[assoc["account"]][key] = values[key].lower()
    print(
        " Modified account associations...\n" + "\n".join(f"  {a['account']}" for a in associations)
    )


def _modify_user(data: Slurmdbd, words: list[str]) -> None:
    where, values = _where_and_set(words)
    associations = [assoc for assoc in _matching(data, where) if assoc["user"]]
    if not associations:
        raise Refused(" Nothing modified")
    if not _set_limits_of(data, associations, words):
        return
    account = str(values.get("defaultaccount", ""))
    for cluster, user in {(row["cluster"], row["user"]) for row in associations} if account else ():
        there = data.matching(cluster=[cluster], account=[account], user=[user])
        if not there or user not in data.users:
            raise Refused(" Nothing modified")
        data.set_default(cluster, user, account)
    print(" Modified user associations...\n" + "\n".join(f"  {a['user']}" for a in associations))


def _delete_user(data: Slurmdbd, words: list[str]) -> None:
    options = options_of(words)
    associations = [assoc for assoc in _matching(data, options) if assoc["user"]]
    if not associations:
        raise Refused(" Nothing deleted")
    # slurmdbd knows the end of a job as soon as it is cancelled, while squeue still shows it.
    held = [_association_of(data, job) for job in data.jobs if "ends" not in job]
    if any(assoc in held for assoc in associations):
        raise Refused(" Error with request: Job(s) active, cancel job(s) before remove")
    if any(options.get(name) for name in ("account", "cluster", "partition")):
        _check_defaults(associations)
    data.remove(associations)
    print(" Deleting user associations...\n" + "\n".join(f"  {a['user']}" for a in associations))


def _association_of(data: Slurmdbd, job: Mapping[str, str]) -> Row | None:
    """Return what a job runs under: its partition's association, or the one without a partition."""
    for cluster in data.clusters:
        for partition in (job.get("partition", ""), ""):
            row = data.find(cluster, job["account"], job["user"], partition)
            if row is not None:
                return row
    return None


def _check_defaults(associations: Sequence[Row]) -> None:
    """Refuse to remove a default association after one that is not, also of another user.

    22.05.8 does so (`_check_is_def_acct_before_remove`), in the order of users.
    """
    others: set[str] = set()
    for row in sorted(associations, key=lambda row: (row["user"], row["default"])):
        if not row["default"]:
            others.add(row["cluster"])
        elif row["cluster"] in others:
            raise Refused(" Error with request: You can not remove the default account of a user")


_COMMANDS: Mapping[tuple[str, str], Callable[[Slurmdbd, list[str]], None]] = {
    ("show", "assoc"): _show_assoc,
    ("show", "user"): _show_user,
    ("show", "account"): _show_account,
    ("show", "cluster"): _show_cluster,
    ("show", "qos"): _show_qos,
    ("show", "tres"): _show_tres,
    ("show", "config"): _show_config,
    ("add", "account"): _add_account,
    ("add", "user"): _add_user,
    ("add", "qos"): _add_qos,
    ("modify", "account"): _modify_account,
    ("modify", "user"): _modify_user,
    ("delete", "user"): _delete_user,
}
