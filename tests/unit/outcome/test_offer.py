"""What the service says of its resources, and to whom."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from provisioner.outcome import offer


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    place = tmp_path / "staging"
    place.mkdir()
    return place


@pytest.mark.parametrize(
    ("staged", "published"), [(0o1733, 0o644), (0o1730, 0o640), (0o700, 0o600)]
)
def test_who_may_write_to_staging_may_read_which_resources_there_are(
    staging: Path, staged: int, published: int
) -> None:
    staging.chmod(staged)
    offer.publish(staging, ["hpc-storage", "cluster-a"])
    status = offer.path(staging).stat()
    assert stat.S_IMODE(status.st_mode) == published
    assert status.st_gid == staging.stat().st_gid
    assert offer.read(staging) == {"cluster-a", "hpc-storage"}


def test_a_newer_offer_replaces_the_one_before_and_leaves_nothing_else(staging: Path) -> None:
    offer.publish(staging, ["cluster-a"])
    offer.publish(staging, ["cluster-b"])
    assert offer.read(staging) == {"cluster-b"}
    assert sorted(path.name for path in staging.parent.iterdir()) == ["resources.json", "staging"]


def test_what_cannot_be_published_stops_nothing(
    staging: Path, caplog: pytest.LogCaptureFixture
) -> None:
    offer.path(staging).mkdir()
    offer.publish(staging, ["cluster-a"])
    assert "cannot say which resources there are" in caplog.text


@pytest.mark.parametrize("body", ["no json", "[]", '{"resources": "cluster-a"}'])
def test_what_is_no_offer_is_an_error(staging: Path, body: str) -> None:
    offer.path(staging).write_text(body)
    with pytest.raises(ValueError, match=r"resources|Expecting"):
        offer.read(staging)
