"""A stage that lacks a setting does not start."""

import json
import re

import pytest

from chalicelib import config
from tests.conftest import ROOT


def test_region_id_and_issuers_of_a_pool_follow_from_its_arn() -> None:
    settings = config.read()
    assert settings.region == "eu-central-1"
    assert settings.user_pool_id == "eu-central-1_Pool12345"
    assert settings.issuers == (
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Pool12345",
        "https://issuer-cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Pool12345",
    )


@pytest.mark.parametrize(("origins", "is_valid"), [
    ("https://app.example.com", True), ("http://localhost:3000,capacitor://localhost,tauri://localhost", True),
    ("https://app.example.com,", False), ("https://app.example.com, https://b.example.com", False), ("https://a.example.com/", False),
    ("https://*.example.com", False), ("*", False), ("null", False), ("ftp://a.example.com", False), ('https://a"b.example.com', False),
    ("https://app.example.com,*", False), ("https://app.example.com\n", False), ("https://app.example.com:8443", True), ("https://app.example.com:", False),
    ("https://App.example.com", False), ("https://app.example.com,https://app.example.com", False),
])  # fmt: skip
def test_web_origin_is_a_list_of_origins(monkeypatch: pytest.MonkeyPatch, origins: str, is_valid: bool) -> None:  # noqa: FBT001 - a case
    monkeypatch.setenv("WEB_ORIGIN", origins)
    parameters = json.loads((ROOT / ".chalice" / "package.json").read_text())["Parameters"]
    if len(set(origins.split(","))) == len(origins.split(",")):  # which a pattern cannot tell
        assert bool(re.fullmatch(parameters["WebOrigin"]["AllowedPattern"], origins)) is is_valid
    if is_valid:
        assert config.read().web_origin == origins
    else:
        with pytest.raises(RuntimeError, match="WEB_ORIGIN"):
            config.read()


@pytest.mark.parametrize("name", ["TABLE_NAME", "USER_POOL_ARN", "WEB_CLIENT_ID", "WEB_ORIGIN", "STATUS_INDEX_SHARDS"])
@pytest.mark.parametrize("value", [None, "", "*"])
def test_a_missing_or_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=name):
        config.read()


@pytest.mark.parametrize("name", ["USER_POOL_ARN", "WEB_CLIENT_ID", "SIGN_IN_URL", "WEB_ORIGIN"])
def test_a_line_end_after_a_setting_is_invalid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"{getattr(config.settings, name.lower())}\n")
    with pytest.raises(RuntimeError, match=name):
        config.read()
