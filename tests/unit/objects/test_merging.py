"""What several claims on one object come to, in words."""

from __future__ import annotations

from provisioner.objects.merging import NAMED, disputed


def test_claims_that_are_not_the_readers_are_named_as_the_reader_may_know_them() -> None:
    others = "another writer's request"
    wants = {"allocation:9": "Fairshare=5"}
    wants |= {"allocation:10": "Fairshare=7", "allocation:11": "Fairshare=7"}
    names = {"allocation:9": "allocation:9", "allocation:10": others, "allocation:11": others}
    assert disputed({"disputed": {"Fairshare": wants}}, names) == (
        "Fairshare stays unchanged, because claims contradict each other: allocation:9 wants "
        "Fairshare=5, another writer's request wants Fairshare=7",
    )


def test_a_text_names_only_some_of_very_many() -> None:
    wants = {f"allocation:{number}": f"MaxJobs={number}" for number in range(NAMED + 2)}
    [text] = disputed({"disputed": {"MaxJobs": wants}})
    assert text.endswith(f"allocation:{NAMED - 1} wants MaxJobs={NAMED - 1} and 2 more")
