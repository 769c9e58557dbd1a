"""The lab's directories: certificates, Samba as AD's domain controller, two slapds, nslcd.

Promises: each serves LDAPS with a certificate of the lab's own authority; what is there already
is kept.
"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.lab import inside
from deploy.lab.place import HOST, LOOPBACK, Lab
from deploy.lab.write import begin, fill, finish, run

DOMAIN = "campus.test"
DC = f"dc1.{DOMAIN}"
AD_BASE = "DC=campus,DC=test"


@dataclass(frozen=True)
class Server:
    """How to reach a directory."""

    name: str
    address: str
    base: str
    bind_dn: str
    server_name: str

    def report(self, lab: Lab) -> Mapping[str, object]:
        """Say it in the words of a directory handler's settings."""
        return {
            "servers": [f"ldaps://{self.address}:636"],
            "tls": "ldaps",
            "ca_file": str(lab.path("tls", "ca.pem")),
            "server_name": self.server_name,
            "bind_dn": self.bind_dn,
            "password_file": str(lab.secret(self.name)),
            "base": self.base,
            "people": f"OU=People,{self.base}",
            "groups": f"OU=Groups,{self.base}",
            "ids": f"OU=Ids,{self.base}",
        }


def ad(lab: Lab) -> Server:
    """Describe Samba."""
    return Server("ad", lab.address, AD_BASE, f"CN=Administrator,CN=Users,{AD_BASE}", DC)


def adlds(lab: Lab) -> Server:
    """Describe the stand-in for AD LDS."""
    base = "DC=hpc,DC=test"
    admin = f"CN=provisioner,OU=Services,{base}"
    return Server("adlds", lab.adlds_address, base, admin, "lds.hpc.test")


def rfc2307(lab: Lab) -> Server:
    """Describe the RFC 2307 directory."""
    base = "DC=rfc2307,DC=test"
    admin = f"CN=provisioner,OU=Services,{base}"
    return Server("rfc2307", lab.rfc2307_address, base, admin, "ldap.rfc2307.test")


def certify(lab: Lab) -> None:
    """Make the lab's authority, kept once made, and one certificate for all its servers.

    What Python 3.13 and later ask of them (VERIFY_X509_STRICT) is in both.
    """
    tls = lab.path("tls")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"]
    if not (tls / "ca.pem").exists() or _signs_unsaid(tls / "ca.pem"):
        run("openssl", "req", "-x509", *key, "-days", "3650", "-subj", "/CN=lab authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", str(tls / "ca.key"), "-out", str(tls / "ca.pem"))  # fmt: skip
    names = [ad(lab).server_name, adlds(lab).server_name, rfc2307(lab).server_name]
    # No addresses: a client that comes by address must be made to ask for the right name.
    alternatives = ",".join(f"DNS:{name}" for name in names)
    extensions = tls / "server.ext"
    extensions.write_text(
        f"subjectAltName={alternatives}\nbasicConstraints=CA:FALSE\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    run("openssl", "req", *key, "-subj", f"/CN={DC}",
        "-keyout", str(tls / "server.key"), "-out", str(tls / "server.csr"))  # fmt: skip
    run("openssl", "x509", "-req", "-in", str(tls / "server.csr"), "-days", "3650", "-sha256",
        "-CA", str(tls / "ca.pem"), "-CAkey", str(tls / "ca.key"), "-CAcreateserial",
        "-extfile", str(extensions), "-out", str(tls / "server.pem"))  # fmt: skip
    # Samba refuses a key that anybody but its owner may read.
    for file in tls.glob("*.key"):
        file.chmod(0o600)


def _signs_unsaid(certificate: Path) -> bool:
    """Return True if the authority of an earlier lab does not say that it may sign."""
    words = ("openssl", "x509", "-noout", "-ext", "keyUsage", "-in", str(certificate))
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return "Certificate Sign" not in said


def start_samba(lab: Lab) -> None:
    """Make the domain if there is none, and start its controller."""
    data, run_dir = lab.path("data", "samba"), lab.path("run", "samba")
    here = [
        f"--option=interfaces={lab.address}/8",
        "--option=bind interfaces only=yes",
        f"--option=pid directory={run_dir}",
        f"--option=ncalrpc dir={run_dir}/ncalrpc",
        f"--option=log file={lab.path('log', 'samba.log')}",
    ]
    new = begin(data)
    run_dir.mkdir(exist_ok=True)
    if new:
        _provision(lab, data, here)
    tls = lab.path("tls")
    inside.start(lab.directory, "samba", [
        "samba", f"--configfile={data}/etc/smb.conf", "--foreground", "--no-process-group", *here,
        "--option=server services=ldap",
        f"--option=tls keyfile={tls}/server.key",
        f"--option=tls certfile={tls}/server.pem",
        f"--option=tls cafile={tls}/ca.pem",
    ])  # fmt: skip
    _wait(lab, ad(lab), "samba")
    if new:
        quoted = f'"{lab.secret("nslcd").read_text()}"'.encode("utf-16-le")
        values = {"base": AD_BASE, "nslcd_password": base64.b64encode(quoted).decode()}
        ldif = lab.path("etc", "ad.ldif")
        fill("ad.ldif", ldif, values)
        _ldap(lab, ad(lab), "ldapadd", "-f", str(ldif))
        ldif.unlink()
        finish(data)


def _provision(lab: Lab, data: Path, options: list[str]) -> None:
    domain = (f"--realm={DOMAIN.upper()}", "--domain=CAMPUS", "--server-role=dc", "--use-rfc2307")
    host = ("--host-name=dc1", f"--host-ip={lab.address}", "--dns-backend=NONE")
    # samba-tool takes it no other way; it opens this lab's domain and nothing else.
    password = f"--adminpass={lab.secret('ad').read_text()}"
    words = ("samba-tool", "domain", "provision", f"--targetdir={data}", *domain, *host, password)
    run(*inside.entering(lab.directory), *words, *options)


def start_slapd(lab: Lab, server: Server) -> None:
    """Make a directory if there is none, and start it. server: `adlds` or `rfc2307`."""
    daemon = f"slapd-{server.name}"
    data, conf = lab.path("data", daemon), lab.path("etc", f"{daemon}.conf")
    new = begin(data)
    fill("slapd.conf", conf, {**_slapd(server), **vars(server), **lab_paths(lab), "data": data})
    if new:
        ldif = lab.path("etc", f"{daemon}.ldif")
        dc = server.base.partition(",")[0].partition("=")[2]
        password = lab.secret(server.name).read_text()
        fill("directory.ldif", ldif, {**vars(server), "dc": dc, "password": password})
        run(*inside.entering(lab.directory), "slapadd", "-q", "-f", str(conf), "-l", str(ldif))
        ldif.unlink()
        finish(data)
    urls = f"ldap://{server.address}/ ldaps://{server.address}/"
    # -d 0 keeps it in the foreground.
    inside.start(lab.directory, daemon, ["slapd", "-d", "0", "-f", str(conf), "-h", urls])
    _wait(lab, server, daemon)


def start_nslcd(lab: Lab) -> None:
    """Start what answers the name service inside; AD must answer."""
    lab.path("run", "nslcd").mkdir(exist_ok=True)
    inside.start(lab.directory, "nslcd", ["nslcd", "--nofork"])
    asked = [*inside.entering(lab.directory), "getent", "group", "hpcusers"]

    def resolves() -> bool:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    inside.answers(lab.directory, "nslcd", resolves)


def cover_etc(lab: Lab) -> None:
    """Write the files that the lab's processes see in place of the machine's."""
    etc = lab.path("root", "etc")
    etc.mkdir(parents=True, exist_ok=True)
    fill("nsswitch.conf", etc / "nsswitch.conf", {})
    nslcd = {
        "server_name": DC,
        "base": AD_BASE,
        "bind_dn": f"CN=nslcd,OU=Services,{AD_BASE}",
        "password": lab.secret("nslcd").read_text(),
    }
    fill("nslcd.conf", etc / "nslcd.conf", {**nslcd, **lab_paths(lab)}, mode=0o600)
    names = {server.address: server.server_name for server in (ad(lab), adlds(lab), rfc2307(lab))}
    names[LOOPBACK] = HOST
    lines = "".join(f"{address} {name}\n" for address, name in names.items())
    (etc / "hosts").write_text(Path("/etc/hosts").read_text() + lines)


def make_secrets(lab: Lab) -> None:
    """Invent the passwords that are not there yet."""
    for name in ("ad", "adlds", "rfc2307", "nslcd", "slurmdbd"):
        if not lab.secret(name).exists():
            # Samba asks for three kinds of characters.
            lab.secret(name).touch(mode=0o600)
            lab.secret(name).write_text(f"Aa1-{secrets.token_urlsafe(18)}")


def lab_paths(lab: Lab) -> Mapping[str, object]:
    """Name the directories that templates refer to."""
    return {name: lab.path(name) for name in ("run", "tls", "log")} | {"state": lab.path("data")}


def _slapd(server: Server) -> Mapping[str, object]:
    schema, ours = Path("/etc/ldap/schema"), Path(__file__).with_name("files")
    if server.name == "rfc2307":
        files = [schema / f"{name}.schema" for name in ("core", "cosine", "inetorgperson", "nis")]
        return _includes(files) | {"indexes": "index memberUid eq", "overlays": ""}
    overlays = (
        "# As AD LDS: memberOf follows member, and a member that is gone leaves its groups.\n"
        "overlay memberof\nmemberof-group-oc group\nmemberof-member-ad member\n"
        "overlay refint\nrefint_attributes member"
    )
    files = [schema / "core.schema", schema / "cosine.schema", ours / "adlds.schema"]
    indexes = "index objectSid,sAMAccountName eq"
    return _includes(files) | {"indexes": indexes, "overlays": overlays}


def _includes(files: list[Path]) -> dict[str, object]:
    return {"schemas": "\n".join(f"include {file}" for file in files)}


def _wait(lab: Lab, server: Server, daemon: str) -> None:
    def reads() -> bool:
        return inside.listens(lab.directory, server.address, 636) and _asked(lab, server)

    inside.answers(lab.directory, daemon, reads)


def _asked(lab: Lab, server: Server) -> bool:
    try:
        _ldap(lab, server, "ldapsearch", "-LLL", "-b", server.base, "-s", "base", "dn")
    except subprocess.CalledProcessError:
        return False
    return True


def _ldap(lab: Lab, server: Server, program: str, *arguments: str) -> None:
    """Run a client inside, where names resolve; the password goes by a file."""
    environment = {**os.environ, "LDAPTLS_CACERT": str(lab.path("tls", "ca.pem"))}
    reach = ("-H", f"ldaps://{server.server_name}/", "-D", server.bind_dn)
    password = ("-y", str(lab.secret(server.name)))
    words = (*inside.entering(lab.directory), program, "-x", *reach, *password, *arguments)
    run(*words, environment=environment)
