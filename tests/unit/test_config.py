"""A stage that lacks a setting does not start."""

import phonenumbers
import pytest

from chalicelib import config


def test_region_id_and_issuers_of_a_pool_follow_from_its_arn() -> None:
    settings = config.read()
    assert settings.region == "eu-central-1"
    assert settings.user_pool_id == "eu-central-1_Pool12345"
    assert settings.issuers == (
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Pool12345",
        "https://issuer-cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Pool12345",
    )


@pytest.mark.parametrize("name", ["TABLE_NAME", "USER_POOL_ARN", "WEB_CLIENT_ID", "WEB_ORIGIN", "STATUS_INDEX_SHARDS"])
@pytest.mark.parametrize("value", [None, "", "*"])
def test_a_missing_or_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=name):
        config.read()


@pytest.mark.parametrize("countries", ["US,UK", "EU", "ZZ", "us", "US,", "US;GB", "DE,001", "USA", "US, GB"])
def test_a_country_without_phone_numbers_is_an_invalid_setting(monkeypatch: pytest.MonkeyPatch, countries: str) -> None:
    monkeypatch.setenv("SMS_COUNTRIES", countries)
    with pytest.raises(RuntimeError, match="SMS_COUNTRIES"):
        config.read()


def test_the_countries_are_those_of_the_locked_phonenumbers() -> None:
    assert set(config.COUNTRIES.split()) == phonenumbers.SUPPORTED_REGIONS


@pytest.mark.parametrize("countries", ["", "GB", "US,GB,DE"])
def test_countries_are_those_of_the_numbering_plans(monkeypatch: pytest.MonkeyPatch, countries: str) -> None:
    monkeypatch.setenv("SMS_COUNTRIES", countries)
    assert config.read().sms_countries == countries


@pytest.mark.parametrize("sender", ["12345", "0", "Twelve Chars", "Exactly12Chr", "My Shop", "Shop-1", "Schön", "Tasks\n"])
def test_a_sender_id_that_sns_refuses_is_an_invalid_setting(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    monkeypatch.setenv("SMS_SENDER_ID", sender)
    with pytest.raises(RuntimeError, match="SMS_SENDER_ID"):
        config.read()


@pytest.mark.parametrize("sender", ["", "A", "1a", "MyShop24", "12345678901"[:-1] + "x"])
def test_a_sender_id_has_a_letter(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    monkeypatch.setenv("SMS_SENDER_ID", sender)
    assert config.read().sms_sender_id == sender
