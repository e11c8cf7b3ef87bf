"""Gets the access token of a machine from a deployed stage: `python -m tools machine-token --stage dev`."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.errors import CommandError
from tools.stages import app_name


def read_secret(pool_arn: str, client_id: str) -> str:
    """Return the secret of a machine client, with the credentials of an operator; raises CommandError."""
    pool_id = pool_arn.rpartition("/")[2]
    try:
        described = boto3.client("cognito-idp").describe_user_pool_client(UserPoolId=pool_id, ClientId=client_id)
    except (BotoCoreError, ClientError) as error:
        message = f"The secret of the client {client_id} cannot be read: {error} Ask an operator for it."
        raise CommandError(message) from error
    return str(described["UserPoolClient"]["ClientSecret"])


def require_secret() -> str:
    """Return the secret in the variable CLIENT_SECRET; raises CommandError without one."""
    secret = os.environ.get("CLIENT_SECRET")
    if not secret:
        message = (
            "CLIENT_SECRET is not set. Set it to the secret of the client: read -rs CLIENT_SECRET; export CLIENT_SECRET"
        )
        raise CommandError(message)
    return secret


def build_request(token_url: str, client_id: str, secret: str) -> urllib.request.Request:
    """Return the request of OAuth client credentials."""
    credentials = b64encode(f"{client_id}:{secret}".encode()).decode()
    body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": f"{app_name()}/sms"}).encode()
    return urllib.request.Request(token_url, body, {"Authorization": f"Basic {credentials}"})  # noqa: S310 - the caller's address


def fetch_access_token(token_url: str, client_id: str, secret: str) -> str:
    """Return a new access token of a machine client; raises CommandError."""
    try:
        request = build_request(token_url, client_id, secret)
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - likewise
            return str(json.load(response)["access_token"])
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace").strip()
        message = f"{token_url} rejects the client {client_id} ({error.code}): {text} Check the client id and its secret."
        raise CommandError(message) from error
    except (OSError, ValueError, KeyError) as error:
        message = (
            f"There is no token from {token_url}: {error} Check the address and the network, then run the command again."
        )
        raise CommandError(message) from error
