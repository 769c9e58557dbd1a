"""In which group of the help a verb stands, and examples of it.

Promises: a test holds that each verb is in one group and has an example, and that each example is a
verb with options that it has. Leaves out: what verbs and options mean; they say so themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Ask for something": (
        *("new", "check", "plan", "submit"),
        *("suspend", "resume", "grant", "revoke", "set-quota"),
    ),
    "See what happens": (
        *("queue", "top", "failed", "show", "status", "list", "quota", "idle", "removal"),
        *("drift", "audit", "mail", "health", "metrics"),
    ),
    "Steer what happens": (
        *("retry", "edit", "dismiss", "hold", "release", "cancel"),
        *("pause", "unpause"),
    ),
    "Run the service": ("sandbox", "init", "run", "doctor", "config", "handlers", "adopt"),
    "Keep the journal": ("backup", "journal", "take-over"),
    "Help": ("help", "schema", "completion"),
}
"""The verbs of each group, in the order in which help lists them."""

_WAIT = "wait, and print each step"

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("provisioner failed", "what needs somebody, by cause, with what to type"),
        ("provisioner status user:jdoe", "what every backend has of jdoe"),
        ("provisioner submit --wait jdoe.yaml", "ask for an account, and wait for it"),
        ("provisioner doctor", "what is wrong with this site"),
    ),
    "check": (("provisioner check jdoe.yaml", "every mistake of a request, without sending it"),),
    "plan": (("provisioner plan storage.yaml", "what the request would change now"),),
    "submit": (
        ("provisioner submit --wait jdoe.yaml", f"send a request, {_WAIT}"),
        ("provisioner submit requests/*.yaml --wait", "several, with a table of outcomes"),
        (
            "provisioner submit --each people.csv --template user",
            "a request for each row, after a look at the plan of all",
        ),
    ),
    "new": (
        ("provisioner new user.provision > jdoe.yaml", "a request to fill in, with every key"),
        ("provisioner new", "the actions that there are"),
    ),
    "suspend": (
        ("provisioner suspend jdoe --cause leave --wait", f"close a person's access, {_WAIT}"),
        ("provisioner suspend allocation:41 --dry-run", "what it would close, and send nothing"),
    ),
    "resume": (("provisioner resume jdoe --cause leave", "end the suspension of that cause"),),
    "grant": (("provisioner grant asmith 41 --wait", "let asmith into allocation 41"),),
    "revoke": (("provisioner revoke asmith 41", "take asmith out of allocation 41"),),
    "set-quota": (
        ("provisioner set-quota 41 --space 6TiB --dry-run", "what a new quota would change"),
        ("provisioner set-quota 41 --space 6TiB --files 3000000", "more space, and more files"),
    ),
    "queue": (
        ("provisioner queue", "what runs, and what each request waits for"),
        ("provisioner queue --user jdoe --older 1d", "what of jdoe has waited for a day"),
        ("provisioner queue --shape", "how many, by reason and age"),
        ("provisioner queue --ended 20", "also the 20 newest outcomes"),
    ),
    "top": (("provisioner top --project CF0003", "what of a project failed or waits, with keys"),),
    "failed": (
        ("provisioner failed", "what needs somebody, by cause"),
        ("provisioner failed --subject jdoe", "only what is about jdoe"),
        ("provisioner failed --ids --handler hpc1", "ids of what hpc1 reported, for xargs"),
    ),
    "show": (("provisioner show storage.yaml", "the newest request of that file's name"),),
    "status": (
        ("provisioner status", "the site on one page"),
        ("provisioner status user:jdoe", "a person: access, projects, what is wrong"),
        ("provisioner status user:jdoe --all", "every fact that a backend has of jdoe"),
        ("provisioner status allocation:41", "an allocation's fileset, quota and accounts"),
    ),
    "list": (
        ("provisioner list users --project CF0003", "who is in a project"),
        ("provisioner list allocations --resource hpc-storage", "what uses a resource"),
        ("provisioner list users --suspended", "who has no access, and why"),
        ("provisioner list ends", "whose access ends when, the next first"),
    ),
    "removal": (
        ("provisioner removal user:jdoe", "what to remove by hand, if jdoe asks for that"),
    ),
    "idle": (
        ("provisioner idle", "who will be warned or closed because they use nothing, and when"),
        ("provisioner idle jdoe --all", "when jdoe last used something, and which source says so"),
    ),
    "quota": (
        ("provisioner quota", "how full everything is, the fullest first"),
        ("provisioner quota CF0003", "only one project"),
    ),
    "drift": (
        ("provisioner drift", "what the service would change in the backends now"),
        ("provisioner drift slurm-a --repair", "make what differs there as it is wanted"),
    ),
    "audit": (("provisioner audit show --subject user:jdoe", "who did what to jdoe"),),
    "audit show": (
        ("provisioner audit show --subject user:jdoe", "who did what to jdoe"),
        ("provisioner audit show --since 2026-11-24", "everything since that day"),
    ),
    "audit verify": (("provisioner audit verify", "whether an event was altered"),),
    "metrics": (("provisioner metrics", "what Prometheus reads at the port, from any host"),),
    "health": (
        ("provisioner health", "one line and an exit code, for Nagios and Icinga"),
        ("provisioner health --age 4:24 --failed 1:20", "other limits, WARNING:CRITICAL"),
    ),
    "mail": (("provisioner mail queue", "which mails wait, and why"),),
    "mail queue": (("provisioner mail queue", "which mails wait, and what the server says"),),
    "mail preview": (
        ("provisioner mail preview allocation_ready", "the text that people get"),
        ("provisioner mail preview digest --html > digest.html", "the HTML, for a browser"),
    ),
    "retry": (
        ("provisioner retry 01JGT0V9Q3 --wait", f"try a request again, {_WAIT}"),
        ("provisioner retry --cause dd1c2a", "try all of a cause that `failed` prints"),
    ),
    "edit": (
        ("provisioner edit hx4640", "correct what failed in your editor, and send it"),
        ("EDITOR=nano provisioner edit storage.yaml --wait", f"the same in nano; {_WAIT}"),
    ),
    "dismiss": (
        ("provisioner dismiss hx4640 --reason 'the PI left'", "put away what nobody will fix"),
        ("provisioner dismiss --cause dd1c2a", "all of a cause that `failed` prints"),
    ),
    "hold": (("provisioner hold 01JGT0V9Q3 --reason 'ticket 8812'", "stop it until a release"),),
    "release": (("provisioner release 01JGT0V9Q3 --wait", f"let it continue, {_WAIT}"),),
    "cancel": (
        ("provisioner cancel 01JGT0V9Q3", "stop a request; what it made stays"),
        ("provisioner cancel --user jdoe --older 1d", "stop all that wait with jdoe for a day"),
    ),
    "pause": (("provisioner pause slurm", "write nothing more to Slurm"),),
    "unpause": (("provisioner unpause slurm", "let the lane continue"),),
    "sandbox": (("provisioner sandbox /tmp/site", "a whole site with emulated backends"),),
    "init": (("provisioner init", "make spool and journal"),),
    "run": (
        ("provisioner run", "serve until stopped"),
        ("provisioner run --drain", "serve what is there, then end"),
    ),
    "doctor": (("provisioner doctor", "what is wrong, and the remedy"),),
    "config": (("provisioner config check", "every mistake of the configuration"),),
    "config check": (("provisioner config check", "every mistake of the configuration"),),
    "config diff": (
        ("provisioner config diff", "what a restart would change, since somebody edited the file"),
    ),
    "config example": (
        ("provisioner config example > provisioner.yaml", "every option, with its meaning"),
    ),
    "handlers": (("provisioner handlers", "the kinds of backend, and those of this site"),),
    "adopt": (
        ("provisioner adopt --manifest all.jsonl", "compare, and take over after a question"),
    ),
    "take-over": (
        ("provisioner take-over portal2", "answer here for an intake whose host is gone for good"),
    ),
    "backup": (("provisioner backup /mnt/safe/journal.db", "a copy, even while it runs"),),
    "journal": (("provisioner journal rebuild", "from the newest copy and the redo log"),),
    "journal rebuild": (("provisioner journal rebuild", "from the newest copy and the log"),),
    "journal move": (
        ("provisioner journal move 'postgresql:///provisioner?host=db1'", "onto a server"),
        ("provisioner journal move /var/lib/provisioner/journal.db", "back into a file"),
    ),
    "journal release": (
        ("provisioner journal release --changes 12", "write again, after a look at `drift`"),
    ),
    "help": (
        ("provisioner help audit show", "the same as `provisioner audit show --help`"),
        ("provisioner help --man /usr/local/share/man/man1", "the manual's pages, for man(1)"),
    ),
    "schema": (("provisioner schema > request.schema.json", "for an editor that completes YAML"),),
    "completion": (
        ("source <(provisioner completion bash)", "in this shell"),
        ("provisioner completion zsh > ~/.zfunc/_provisioner", "for zsh, if ~/.zfunc is in fpath"),
        (
            "provisioner completion fish > ~/.config/fish/completions/provisioner.fish",
            "for fish, from the next shell on",
        ),
    ),
}
"""Examples of each verb: what to type, and what it gives."""
