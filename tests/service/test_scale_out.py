"""The commands of docs/scale-out.md, typed as they stand there: from one host to three, and back.

Instead of systemd a stand-in starts what the units say (`tests.support.systemctl`), instead of scp
a copy between the hosts' directories; the server lets hosts in by their address, without passwords.
What comes before, an installation, is laid out by `tests.support.whole_hosts`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.cli_site import Desk, user
from tests.support.waiting import until
from tests.support.whole_hosts import USER, Host, hosts

pytestmark = [pytest.mark.lab, pytest.mark.root]

PAGE = (Path(__file__).parents[2] / "docs/scale-out.md").read_text()


def commands(section: str) -> list[tuple[str, str]]:
    """Return the commands of a section, each with its host."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    lines = "".join(blocks).splitlines()
    found = [re.fullmatch(r"(\w+)# (.*)", line) for line in lines]
    assert all(found), lines
    return [(match[1], match[2]) for match in found if match]


def test_it_takes_ten_commands_to_get_there() -> None:
    acting = [
        command for _, command in commands("There") if not re.search("status|health", command)
    ]
    assert len(acting) == 10


@pytest.fixture
def site() -> Iterator[dict[str, Host]]:
    """Give four hosts, of which the portal's serves all, with a file."""
    with TemporaryDirectory(dir="/var/tmp", prefix="provisioner-scale-") as place:
        top = Path(place)
        top.chmod(0o755)
        desk = Desk(top / "box")
        (top / "hosts").mkdir()
        config = desk.config.read_text()
        for old, new in {
            "spool: spool": "spool: /var/spool/provisioner",
            "journal: journal/journal.db": "journal: /var/lib/provisioner/journal.db",
            "{emulated: host}": f"{{emulated: {desk.root}/host}}",
            "directory: mail": f"directory: {desk.root}/mail",
            "use: home_directory": "use: home_directory\n    lane: homes:/home",
            "use: adlds_account": "use: adlds_account\n    lane: directory-hpc.campus.test",
        }.items():
            assert old in config, old
            config = config.replace(old, new)
        shutil.rmtree(desk.spool)
        subprocess.run(["chown", "-R", f"{USER}:{USER}", str(desk.root)], check=True)
        with hosts(top / "hosts", desk.root, "portal", "slurm1", "fs1", "db1") as made:
            (top / "hosts/portal/etc/provisioner.yaml").write_text(
                f"staging_group: provisioner-requests\n{config}roles: {{lease: 2}}\n"
            )
            made["portal"]("systemctl enable --now provisioner")
            yield made


def ask(portal: Host, name: str) -> None:
    """Drop a request, as a member of the group that may."""
    text = user(name)
    path = portal.root / f"var/spool/provisioner/staging/{name}.yaml"
    hidden = path.with_name(f".{name}")
    hidden.write_text(text)
    os.chown(hidden, 0, 0)
    hidden.rename(path)


def done(portal: Host, name: str) -> bool:
    found = portal.root.glob(f"var/spool/provisioner/done/*{name}.yaml")
    return any(True for _ in found)


def test_the_commands_lead_from_one_host_to_three_and_back(site: dict[str, Host]) -> None:
    portal = site["portal"]
    ask(portal, "before")
    until(lambda: done(portal, "before"), "the first request to be done")
    said = []
    for number, (host, command) in enumerate(commands("There")):
        if number == 4:
            ask(portal, "meanwhile")  # the service is stopped, and its file waits
        code = None if "health" in command else 0  # there is no copy yet
        said.append(site[host](command, code=code))
    until(lambda: done(portal, "meanwhile"), "the request that waited to be done")
    well = "runuser -u provisioner -- provisioner health --backup 99:99"
    until(lambda: " OK - " in site["fs1"](well, code=None), "all to be well", every=0.5)
    assert any(
        all(f"host {host}: " in text for host in ("portal", "slurm1", "fs1")) for text in said
    )
    for host, command in commands("Back"):
        site[host](command)
    ask(portal, "after")
    until(lambda: done(portal, "after"), "the request after the way back to be done")
