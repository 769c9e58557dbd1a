"""A site that tells people what became of requests, and the requests of it."""

from __future__ import annotations

from provisioner.journal.outbox import messages
from provisioner.journal.outbox.messages import Message
from provisioner.objects.states import MessageState
from tests.support.engine_site import Site

OPERATORS = "ops@campus.test"


def notify(port: int, more: str = "", *, patience: float = 30.0) -> str:
    """Write the configuration. patience: most seconds for an answer of the server."""
    return f"""\
notify:
  mail:
    server: 127.0.0.1:{port}
    sender: hpc@campus.test
    domain: campus.test
    operators: [{OPERATORS}]
    timeout: {patience}
    total: {3 * patience}
{more}"""


def project(
    number: int, *users: str, files: int = 5, head: str = "", title: str = "Folding"
) -> str:
    """Write an allocation whose project has a leader."""
    return f"""\
provisioner: 1
action: allocation.provision
{head}allocation:
  id: {number}
  resource: one
  project: {{code: cf{number}, title: "{title}", pi: pi}}
  users: [{", ".join(users)}]
  quota: {{space: 5TiB, files: {files}}}
"""


def wrong(number: int) -> str:
    """Write an allocation of a resource that there is not."""
    return project(number).replace("resource: one", "resource: oen")


def tell(site: Site, now: float | None = None) -> None:
    """Let the courier do its work once, as if no server had to rest."""
    for channel in site.service.house.courier._resting:
        site.service.house.courier._resting[channel] = 0.0
    site.service.house.courier.work(now)


def served(site: Site, *requests: str) -> None:
    for number, text in enumerate(requests):
        site.request(text, f"r{number}.yaml")
    tell(site)


def queue(site: Site, *states: MessageState) -> list[Message]:
    with site.system.journal.reading() as conn:
        return messages.listed(conn, states or tuple(MessageState), 1000)
