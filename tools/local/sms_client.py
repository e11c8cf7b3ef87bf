"""The machine client of the local user pool, and the SMS messages that were sent."""

import json
import os

from tools.deploy import machine_token
from tools.local.emulator import fetch


def fetch_token() -> str:
    """Return a new access token of the machine client, by OAuth client credentials."""
    client_id = os.environ["MACHINE_CLIENT_IDS"]
    secret = machine_token.read_secret(os.environ["USER_POOL_ARN"], client_id)
    request = machine_token.build_request(f"{os.environ['AWS_ENDPOINT_URL']}/oauth2/token", client_id, secret)
    return str(json.loads(fetch(request))["access_token"])


def list_messages() -> str:
    """Return the SMS messages that were sent, one per line: phone number, then text."""
    by_number = json.loads(fetch(f"{os.environ['AWS_ENDPOINT_URL']}/_ministack/sns/sms-messages"))["sms_messages"]
    return "\n".join(f"{number}  {sms['Message']}" for number, messages in by_number.items() for sms in messages)
