"""A sandbox: a whole site below one directory, for a laptop, without root.

Promises: spool, configuration and emulated backends; the handlers run the same code there as
anywhere. Leaves out: running the service, and any effect on the machine outside the directory.
"""

from __future__ import annotations

from pathlib import Path

from handlers.emulators import getent
from handlers.emulators.gpfs import mm
from handlers.emulators.ldap import directory as directories
from handlers.emulators.slurm import programs
from provisioner.contract import ConfigError
from provisioner.journal.journal import Journal
from provisioner.spool.spool import Spool

_CONFIG = """\
# A sandbox: emulated backends, nothing outside this directory is touched.
service: sandbox
spool: spool
journal: journal/journal.db
host: {{emulated: host}}
site: {{domain: campus.test}}
# Every mail becomes a file in mail/.
notify:
  mail:
    directory: mail
    sender: hpc@campus.test
    domain: campus.test
    operators: [operators@campus.test]

handlers:
  ad:
    use: ad_account
    mode: manage
    servers: ["emulated://{base}/ad.json"]
    base: DC=campus,DC=test
    container: OU=people,DC=campus,DC=test
    domain: campus.test
    ids: {{from: 20000, to: 29999, container: "OU=ids,DC=campus,DC=test"}}
    gid: uid
    home: "{base}/home/{{{{ name }}}}"
  groups:
    use: ad_group
    servers: ["emulated://{base}/ad.json"]
    base: DC=campus,DC=test
    container: OU=groups,DC=campus,DC=test
    ids: {{from: 30000, to: 39999, container: "OU=ids,DC=campus,DC=test"}}
  lds:
    use: adlds_account
    object_class: userProxy
    servers: ["emulated://{base}/lds.json"]
    base: DC=hpc,DC=test
    container: OU=people,DC=hpc,DC=test
    home: "{base}/home/{{{{ name }}}}"
  names:
    use: nss_gate
    passwd: ["{base}/bin/getent", passwd]
    group: ["{base}/bin/getent", group]
  homes:
    use: home_directory
    root: {base}/home
  fs1:
    use: gpfs_fileset
    filesystem: fs1
    mm_path: {base}/gpfs/bin
    tools: {base}/gpfs/bin
  slurm-a:
    use: slurm
    cluster: a
    sacctmgr: ["{base}/slurm/bin/sacctmgr"]
    scontrol: ["{base}/slurm/bin/scontrol"]
    squeue: ["{base}/slurm/bin/squeue"]
    scancel: ["{base}/slurm/bin/scancel"]
  slurm-b:
    use: slurm
    cluster: b
    sacctmgr: ["{base}/slurm/bin/sacctmgr"]
    scontrol: ["{base}/slurm/bin/scontrol"]
    squeue: ["{base}/slurm/bin/squeue"]
    scancel: ["{base}/slurm/bin/scancel"]

resources:
  cluster-a: {{handlers: [slurm-a]}}
  cluster-b: {{handlers: [slurm-b]}}
  hpc-storage: {{handlers: [fs1]}}
"""

_DONE = """\
A sandbox is in {base}:
  provisioner.yaml   the configuration
  spool/staging      where requests are dropped
  home, gpfs/fs1     the results; the emulated directories and Slurm are files beside them
  mail               what people are told, a file for each mail
Owners and modes are emulated: `provisioner status` shows them, `ls -l` does not.

Next:
  export PROVISIONER_CONFIG={base}/provisioner.yaml
  provisioner submit FILE        drop a request
  provisioner run --drain        serve the requests in staging
  provisioner queue              list open requests
  provisioner status user:NAME   show what every backend has"""


def make(directory: Path) -> str:
    """Make a sandbox in a directory that is empty or does not exist; return what to do next.

    Raises ConfigError if the directory is not empty.
    """
    base = directory.absolute()
    if base.exists() and any(base.iterdir()):
        raise ConfigError(f"{base} is not empty", advice="choose a new directory")
    if set(str(base)) & set(" \t\n\"'{}"):
        raise ConfigError(f"{base} has blanks or quotes", advice="choose a directory without them")
    for name in ("", "home"):
        (base / name).mkdir(parents=True, exist_ok=True, mode=0o755)
    for name in ("journal", "mail"):
        (base / name).mkdir(mode=0o700)
    Spool.create(base / "spool").close()
    mm.install(base / "gpfs", filesystem="fs1")
    programs.install(base / "slurm", clusters=("a", "b"))
    directories.create(base / "ad.json", "ad", "DC=campus,DC=test")
    directories.create(base / "lds.json", "adlds", "DC=hpc,DC=test")
    getent.install(base / "bin", base / "ad.json")
    config = base / "provisioner.yaml"
    config.write_text(_CONFIG.format(base=base))
    Journal.open(base / "journal" / "journal.db").close()
    return _DONE.format(base=base)
