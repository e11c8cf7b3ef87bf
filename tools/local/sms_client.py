"""The machine client of the local user pool, and the SMS messages that were sent."""

import base64
import json
import os
import urllib.parse
import urllib.request

import boto3

from tools.local.emulator import fetch
from tools.local.users import pool_id
from tools.stages import app_name


def fetch_token() -> str:
    """Return a new access token of the machine client, by OAuth client credentials."""
    client_id = os.environ["MACHINE_CLIENT_IDS"]
    client = boto3.client("cognito-idp").describe_user_pool_client(UserPoolId=pool_id(), ClientId=client_id)
    credentials = base64.b64encode(f"{client_id}:{client['UserPoolClient']['ClientSecret']}".encode()).decode()
    body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": f"{app_name()}/sms"}).encode()
    request = urllib.request.Request(  # noqa: S310 - on this machine
        f"{os.environ['AWS_ENDPOINT_URL']}/oauth2/token", body, {"Authorization": f"Basic {credentials}"}
    )
    return str(json.loads(fetch(request))["access_token"])


def list_messages() -> str:
    """Return the SMS messages that were sent, one per line: phone number, then text."""
    by_number = json.loads(fetch(f"{os.environ['AWS_ENDPOINT_URL']}/_ministack/sns/sms-messages"))["sms_messages"]
    return "\n".join(f"{number}  {sms['Message']}" for number, messages in by_number.items() for sms in messages)
