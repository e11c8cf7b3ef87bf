"""A stage with settings for SMS messages that SNS would refuse does not start."""

import phonenumbers
import pytest

from chalicelib import config


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
