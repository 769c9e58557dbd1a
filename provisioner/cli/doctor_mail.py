"""What `doctor` says of telling people: templates, server, hook, and what does not go.

Promises: nothing is sent, and nothing is written. Leaves out: fixing anything.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from provisioner.cli import site
from provisioner.config.notify import HookConfig, MailConfig
from provisioner.config.schema import Config
from provisioner.contract import PATH, ConfigError, Finding, Level
from provisioner.journal.journal import Connection
from provisioner.journal.outbox import messages
from provisioner.notify.letters import Letters
from provisioner.notify.post import Away, Post
from provisioner.objects.states import MessageState
from provisioner.wiring import SHIPPED_TEMPLATES

_WEEK = 7 * 86400.0
_QUEUE = "provisioner mail queue"


def findings(config: Config) -> Iterator[Finding]:
    """Yield findings about what the configuration names."""
    mail, hook = config.notify.mail, config.notify.hook
    if mail is not None:
        yield _templates(config)
        yield _server(config, mail)
    if hook is not None:
        yield _hook(hook)


def stuck(conn: Connection, now: float) -> Iterator[Finding]:
    """Yield findings about messages that do not go, or did not in the last week."""
    waiting = [m for m in messages.listed(conn, [MessageState.WAITING], 10_000) if m.error]
    if waiting:
        oldest = waiting[-1]
        yield Finding(
            Level.WARNING,
            oldest.channel,
            f"tried in vain, and waiting: {site.many(len(waiting), 'message')}: {oldest.error}",
            f"{_QUEUE}; they are tried again by themselves",
        )
    lost = [
        m
        for m in messages.listed(conn, [MessageState.GIVEN_UP], 10_000)
        if now - (m.ended or 0) < _WEEK
    ]
    if lost:
        count = site.many(len(lost), "message")
        message = f"{count} of this week reached nobody, the last: {lost[0].error}"
        yield Finding(Level.WARNING, lost[0].channel, message, _QUEUE)


def _templates(config: Config) -> Finding:
    wrong = list(Letters((*config.templates, SHIPPED_TEMPLATES)).wrong())
    if wrong:
        message, advice = "; ".join(wrong), "fix it, or remove it: then the shipped one counts"
        return Finding(Level.ERROR, "mail", message, advice)
    return Finding(Level.OK, "mail", "every template can be rendered")


def _server(config: Config, mail: MailConfig) -> Finding:
    try:
        password = config.secret(mail.password) if mail.password else ""
        post = Post(mail, password)
        post.check()
    except ConfigError as error:
        return Finding(Level.ERROR, "mail", error.message, error.advice)
    except Away as error:
        advice = "is it up, and does it take mail from this host? Mail waits for it"
        return Finding(Level.ERROR, "mail", str(error), advice)
    return Finding(Level.OK, "mail", f"{post.place} takes mail")


def _hook(hook: HookConfig) -> Finding:
    name = hook.program[0]
    if shutil.which(name, path=PATH) is None:
        there = Path(name).exists()
        message = f"{name} {'is not executable' if there else 'does not exist'}"
        advice = f"chmod +x {name}" if there else "fix `notify.hook.program` in the configuration"
        return Finding(Level.ERROR, "hook", message, advice)
    return Finding(Level.OK, "hook", f"{name} is executable")
