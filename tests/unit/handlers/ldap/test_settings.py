"""What the settings of a directory refuse before anything is sent."""

from __future__ import annotations

import pytest

from handlers.ldap import ad_account, ad_group, adlds_account
from handlers.ldap.directory.settings import DirectorySettings
from provisioner.contract import ConfigError, read_settings

BASE = "DC=campus,DC=test"


@pytest.mark.parametrize(
    "settings",
    [
        {"servers": ["ldaps://dc1.campus.test"]},
        {"servers": ["ldap://dc1.campus.test"], "tls": "starttls"},
        {"servers": ["ldap://127.0.0.1:389"], "tls": "none"},
        {"servers": ["ldap://localhost"], "tls": "none"},
        {"servers": ["emulated:///tmp/ad.json"]},
    ],
)
def test_a_protected_connection_is_taken(settings: dict[str, object]) -> None:
    assert read_settings(DirectorySettings, {**settings, "base": BASE}).base == BASE


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"servers": ["ldap://dc1.campus.test"], "tls": "none"}, "in clear"),
        ({"servers": ["ldap://10.0.0.1"], "tls": "none"}, "in clear"),
        ({"servers": ["ldap://dc1.campus.test"]}, "does not go with"),
        ({"servers": ["ldaps://dc1.campus.test"], "tls": "starttls"}, "does not go with"),
        ({"servers": ["dc1.campus.test"]}, "servers"),
        ({"servers": []}, "servers"),
        ({"servers": ["ldaps://dc1"], "sevrers": 1}, "sevrers"),
        ({"servers": ["ldaps://dc1"], "timeout": 0}, "timeout"),
    ],
)
def test_what_cannot_work_is_refused_by_name(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        read_settings(DirectorySettings, {**settings, "base": BASE})
    assert raised.value.advice


def test_managing_needs_a_place_and_a_domain() -> None:
    given = {"servers": ["ldaps://dc1"], "base": BASE, "mode": "manage"}
    with pytest.raises(ConfigError, match="container"):
        read_settings(ad_account.Settings, given)


def test_all_handlers_of_a_directory_share_its_lane() -> None:
    given = {"servers": ["ldaps://dc1"], "base": f"OU=HPC,{BASE}"}
    assert read_settings(ad_account.Settings, given).lane_name == "directory-campus.test"
    made = {**given, "container": f"OU=x,{BASE}"}
    assert read_settings(ad_group.Settings, made).lane_name == "directory-campus.test"


@pytest.mark.parametrize("module", [ad_account, ad_group, adlds_account])
def test_every_setting_and_parameter_is_described(module: object) -> None:
    for model in (module.Settings, module.Params):  # type: ignore[attr-defined]
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__module__}.{model.__name__}.{name}"
