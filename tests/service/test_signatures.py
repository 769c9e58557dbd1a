"""Signed requests through the engine, signed and verified by the real ssh-keygen.

The files belong to `uid-4711`, as a forged or a squashed owner would have it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from provisioner.admission.signature import lasting
from provisioner.config.keeping import RetentionConfig
from provisioner.contract import ConfigError
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.objects.states import RequestState
from provisioner.recovery.retention import Keeper
from provisioner.spool.spool import Submission
from tests.support.engine_site import Site, allocation, control, user
from tests.support.mail_site import notify, project, queue, tell
from tests.support.signing_site import EXPIRES, POLICY, allow, make_key, sign

FORGED = 4711
SIGNED = allocation(1, "ann", head=EXPIRES)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Give the key of the user `games`, who is an allowed signer."""
    key = make_key(tmp_path, "key")
    allow(tmp_path, games=key)
    return key


@pytest.fixture
def site(tmp_path: Path, key: Path) -> Site:
    """Give a running site that takes signed requests only."""
    return Site(tmp_path, POLICY.format(required="true"))


def put(site: Site, path: Path) -> None:
    """Move a file into staging, as another's."""
    path.chmod(0o600)
    os.chown(path, FORGED, -1)
    path.rename(site.spool.staging / path.name)


def send(
    site: Site,
    text: str,
    key: Path | None = None,
    *,
    name: str = "r.yaml",
    namespace: str = "provisioner",
    arrives: str | None = None,
) -> Record:
    """Send a request with its signature; arrives: what its bytes have become meanwhile."""
    path = site.root / name
    path.write_text(text)
    if key is not None:
        put(site, sign(path, key, namespace))
    path.write_text(text if arrives is None else arrives)
    put(site, path)
    return take(site, name)


def take(site: Site, name: str) -> Record:
    """Let the service take what there is; return the newest request of a name."""
    site.take()
    site.drain()
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    assert found is not None
    return found


def why(record: Record) -> str:
    """Return what a request's writer is told."""
    return "; ".join(f"{one['message']} ({one['expected']})" for one in record.problems or ())


def test_a_signed_request_is_its_signers_whoever_owns_the_file(site: Site, key: Path) -> None:
    done = send(site, SIGNED, key)
    assert (done.state, done.writer) == ("done", "games")
    assert site.first.rows.keys() == {"first/account/cf", "first/member/cf/ann"}


def test_the_signature_leaves_staging_with_its_request(site: Site, key: Path) -> None:
    send(site, SIGNED, key)
    assert list(site.spool.staging.iterdir()) == []


def test_policy_asks_what_the_signer_may(site: Site, key: Path) -> None:
    text = user("ann").replace("user:", f"{EXPIRES}user:")
    refused = send(site, text, key)
    assert refused.state == "refused"
    assert "games may not ask for user.provision" in why(refused)


def test_an_unsigned_request_is_refused_with_what_to_do(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    refused = send(site, SIGNED)
    assert refused.state == "refused"
    assert "ssh-keygen -Y sign -n provisioner -f KEY r.yaml" in why(refused)
    assert any(line.startswith("ALARM signature: r.yaml of uid-4711") for line in caplog.messages)
    assert site.first.rows == {}


def test_nothing_that_an_unsigned_request_says_is_believed(site: Site) -> None:
    refused = send(site, allocation(1, head=f"id: portal-1\n{EXPIRES}"))
    assert (refused.writer_id, refused.subject) == (None, "")


def test_a_request_that_was_refused_for_its_missing_signature_may_come_again_with_it(
    site: Site, key: Path
) -> None:
    send(site, SIGNED)
    assert send(site, SIGNED, key).state == "done"


@pytest.mark.parametrize("length", range(1, len(SIGNED), 40))
def test_a_part_of_a_signed_request_is_refused(site: Site, key: Path, length: int) -> None:
    refused = send(site, SIGNED, key, arrives=SIGNED[:length])
    assert refused.state == "refused"
    assert "its signature is not valid" in why(refused)


def test_a_signature_for_something_else_is_none(site: Site, key: Path) -> None:
    assert "is not valid" in why(send(site, SIGNED, key, namespace="git"))


def test_a_signature_by_a_key_that_is_not_allowed_is_none(site: Site, tmp_path: Path) -> None:
    assert "is not valid" in why(send(site, SIGNED, make_key(tmp_path, "other")))


def test_a_signature_that_is_none_is_refused(site: Site) -> None:
    path = site.root / "r.yaml.sig"
    path.write_text("-----BEGIN SSH SIGNATURE-----\n")
    put(site, path)
    assert "is not valid" in why(send(site, SIGNED))


@pytest.mark.parametrize(
    ("who", "says"),
    [
        ("nobody-knows-them", "is not a user of this host"),
        ("games,backup", "stands for games, backup, not for one user"),
        ("*", "not for one user"),
    ],
)
def test_a_key_stands_for_one_user_of_this_host(site: Site, key: Path, who: str, says: str) -> None:
    allow(site.root, **{who: key})
    assert says in why(send(site, SIGNED, key))


def test_a_signed_request_says_when_it_ends(site: Site, key: Path) -> None:
    refused = send(site, allocation(1), key)
    assert refused.state == "refused"
    assert "a signed request has to say when it ends" in why(refused)


def test_a_signed_request_that_has_expired_is_refused(site: Site, key: Path) -> None:
    text = allocation(1, head="expires: 2020-01-01T00:00:00Z\n")
    assert "expired at 2020" in why(send(site, text, key))


@pytest.mark.parametrize(
    ("expires", "right"),
    [(None, False), (100.0, True), (100.0 + 86400, True), (101.0 + 86400, False)],
)
def test_a_signed_request_ends_while_the_journal_remembers_it(
    expires: float | None, right: bool
) -> None:
    assert (lasting(expires, now=100.0, remembered=1.0) is None) is right


def test_a_replay_is_the_same_request_under_whatever_name(site: Site, key: Path) -> None:
    first = send(site, SIGNED, key)
    site.first.rows.clear()
    again = send(site, SIGNED, key, name="again.yaml")
    assert (again.state, again.duplicate_of) == ("done", first.id)
    assert f"the same request as {first.id}, which is done" in why(again)
    assert site.first.rows == {}


def test_a_replay_is_the_same_request_until_it_expires_however_soon_rows_are_removed(
    site: Site, key: Path
) -> None:
    first = send(site, SIGNED, key)
    for number in (1, 2):
        send(site, f"# again\n{SIGNED}reason: {number}\n", key, name=f"{number}.yaml")
    site.first.rows.clear()
    settings = RetentionConfig(journal_days=1, journal_floor=1, done_days=1)
    sum(Keeper(site.spool, site.system.journal, settings).portions(time.time() + 2 * 86400))
    again = send(site, SIGNED, key, name="again.yaml")
    assert (again.duplicate_of, site.first.rows) == (first.id, {})


def test_a_replay_that_comes_with_its_original_is_the_same_request(site: Site, key: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        path = site.root / name
        path.write_text(SIGNED)
        put(site, sign(path, key))
        put(site, path)
    take(site, "a.yaml")
    with site.system.journal.reading() as conn:
        told = sorted(why(one) for n in "ab" if (one := request_rows.newest(conn, f"{n}.yaml", "")))
    assert told[0] == ""
    assert "the same request as" in told[1]


def test_a_replay_does_not_bring_back_what_was_cancelled(site: Site, key: Path) -> None:
    site.first.away = True
    first = send(site, SIGNED, key)
    operator = make_key(site.root, "operator")
    allow(site.root, games=key, backup=operator)
    text = control("request.cancel", first.id)
    text = text.replace("request:", f"{EXPIRES}request:")
    assert send(site, text, operator, name="cancel.yaml").state == "done"
    refused = send(site, SIGNED, key, name="again.yaml")
    assert refused.state == "refused"
    assert f"the same request as {first.id}, which is cancelled" in why(refused)


def test_where_signatures_are_optional_an_unsigned_request_is_its_owners(
    tmp_path: Path, key: Path
) -> None:
    site = Site(tmp_path, POLICY.format(required="false"))
    refused = send(site, SIGNED)
    assert "uid-4711 may not ask for anything here" in why(refused)
    assert send(site, SIGNED, key).state == "done"


def test_where_signatures_are_optional_one_that_does_not_hold_is_refused(
    tmp_path: Path, key: Path
) -> None:
    site = Site(tmp_path, POLICY.format(required="false"))
    assert "is not valid" in why(send(site, SIGNED, key, arrives=SIGNED + "# more\n"))


@pytest.mark.parametrize(
    ("required", "says"),
    [("false", "uid-4711 may not ask for anything here"), ("true", "r.yaml.sig is uid-4712's")],
)
def test_a_signature_that_another_put_beside_a_request_makes_it_nobodys(
    tmp_path: Path, key: Path, required: str, says: str
) -> None:
    site = Site(tmp_path, POLICY.format(required=required))
    path = site.root / "r.yaml"
    path.write_text(SIGNED)
    put(site, sign(path, key))
    os.chown(site.spool.staging / "r.yaml.sig", FORGED + 1, -1)
    put(site, path)
    assert says in why(take(site, "r.yaml"))
    assert not list(site.spool.staging.iterdir())


def test_a_list_of_signers_that_others_may_write_to_is_not_served(
    tmp_path: Path, key: Path
) -> None:
    (tmp_path / "signers").chmod(0o666)
    with pytest.raises(ConfigError, match="others may write"):
        Site(tmp_path, POLICY.format(required="true"))


def test_a_list_of_signers_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Site(tmp_path, POLICY.format(required="true"))


def crash(site: Site) -> None:
    """End the service as it stands, and start the next one."""
    site.spool.close()
    site.system.journal.close()
    site.start()


@pytest.mark.parametrize("judged", [True, False])
def test_a_signed_request_that_was_claimed_when_the_service_died_is_its_signers_still(
    site: Site, key: Path, judged: bool
) -> None:
    path = site.root / "r.yaml"
    path.write_text(SIGNED)
    put(site, sign(path, key))
    put(site, path)
    submission = site.spool.take("r.yaml")
    assert isinstance(submission, Submission)
    if judged:
        site.spool.companions.signature(submission, 1 << 14)
    crash(site)
    done = take(site, "r.yaml")
    assert (done.state, done.writer) == ("done", "games")


def test_a_signature_whose_request_was_accepted_when_the_service_died_is_gone(
    site: Site, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(site.spool.companions, "discard", lambda found: None)
        send(site, SIGNED, key)
    [left] = (site.config.spool / "active").iterdir()
    assert left.name.endswith("-r.yaml.sig")
    crash(site)
    assert not list((site.config.spool / "active").iterdir())


def test_people_are_told_of_a_signed_request_whoever_carried_its_file(
    tmp_path: Path, key: Path
) -> None:
    site = Site(tmp_path, POLICY.format(required="true") + notify(9))
    assert send(site, project(1, "ann", head=EXPIRES), key).state == RequestState.DONE
    tell(site)
    assert {message.person for message in queue(site)} == {"ann", "pi"}
