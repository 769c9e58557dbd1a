"""`deploy/install` on a copy of this machine: what it makes, and what it leaves as it was.

The copy is an overlay over the root directory in a mount namespace of its own, so that its users,
units and programs are gone with it. systemd does not run in it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.lab,  # root, and Debian's own Python
    pytest.mark.skipif("not __import__('os').environ.get('PROVISIONER_LAB')", reason="no lab"),
]

ROOT = Path(__file__).parents[2]

_COPY = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
mount --bind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount --bind "$2" "$1/root$2"
cd /
exec chroot "$1/root" bash -ec "$3"
"""

_STORY = """
places='/etc /opt /usr/local /usr/lib/systemd /usr/lib/sysusers.d /usr/lib/tmpfiles.d'
part() {{ echo "== $1"; }}
cd {root}
export PYTHON=/usr/bin/python3 PIP_DISABLE_PIP_VERSION_CHECK=1
part before; find $places
part installed; deploy/install
part users; id -nG provisioner
part check; cd /; runuser -u provisioner -- provisioner config check
part init; mkdir -p /run/x; runuser -u provisioner -- provisioner init && ls /var/spool/provisioner
part programs; ls /opt/provisioner/bin/* /usr/local/share/man/man1/*
part units; grep -ho '^ExecStart=[^ ]*' /etc/systemd/system/provisioner*.service
part upgraded; cd {root}; echo '# mine' >> /etc/provisioner/provisioner.yaml; deploy/install
tail -n 1 /etc/provisioner/provisioner.yaml
part removed; deploy/install --uninstall
part after; find $places
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what each part of the story printed."""
    copy = tmp_path_factory.mktemp("copy")
    told = _STORY.format(root=ROOT)
    words = ["unshare", "--mount", "bash", "-c", _COPY, "copy", str(copy), str(ROOT), told]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = done.stdout.split("== ")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def test_it_makes_program_user_and_example_configuration(story: dict[str, str]) -> None:
    assert "/etc/provisioner/provisioner.yaml, an example: edit it" in story["installed"]
    assert set(story["users"].split()) == {"provisioner", "provisioner-requests"}
    assert story["check"].strip().endswith("is correct")


def test_people_have_the_command_s_manual(story: dict[str, str]) -> None:
    assert "/usr/local/share/man/man1/provisioner.1" in story["programs"].split()


def test_the_service_s_user_can_make_the_spool(story: dict[str, str]) -> None:
    assert {"staging", "done", "failed"} <= set(story["init"].split())


def test_every_unit_starts_a_program_that_is_there(story: dict[str, str]) -> None:
    programs = {line.partition("=")[2] for line in story["units"].split()}
    assert "/opt/provisioner/bin/provisioner" in programs
    assert programs <= set(story["programs"].split()) | {"/srv/coldfront/venv/bin/coldfront"}


def test_an_upgrade_leaves_the_site_s_configuration(story: dict[str, str]) -> None:
    assert "/etc/provisioner/provisioner.yaml stays as it is" in story["upgraded"]
    assert story["upgraded"].splitlines()[-1] == "# mine"


def test_removing_it_leaves_the_site_s_files_and_the_users_alone(story: dict[str, str]) -> None:
    left = set(story["after"].split()) - set(story["before"].split())
    ours = {name for name in left if "provisioner" in name}
    assert ours == {
        "/etc/provisioner",
        "/etc/provisioner/agent.toml",
        "/etc/provisioner/provisioner.yaml",
        "/etc/provisioner/secrets",
    }
    assert "stay" in story["removed"]
