"""The machine client of the local pool, and the texts that it has sent."""

import base64
import json
import os
import urllib.parse
import urllib.request

import boto3

from tools.environment import answers


def token() -> str:
    """Return a fresh access token of the machine client, by a request to the token endpoint of OAuth."""
    client_id = os.environ["MACHINE_CLIENT_IDS"]
    pool = os.environ["USER_POOL_ARN"].rpartition("/")[2]
    client = boto3.client("cognito-idp").describe_user_pool_client(UserPoolId=pool, ClientId=client_id)["UserPoolClient"]
    credentials = base64.b64encode(f"{client_id}:{client['ClientSecret']}".encode()).decode()
    body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": "task-api/sms"}).encode()
    request = urllib.request.Request(  # noqa: S310 - of this machine
        f"{os.environ['AWS_ENDPOINT_URL']}/oauth2/token", body, {"Authorization": f"Basic {credentials}"}
    )
    issued = json.loads(answers(request))
    return str(issued["access_token"])


def inbox() -> str:
    """Return the texts that have arrived, one on a line: the number, then the message."""
    phones = json.loads(answers(f"{os.environ['AWS_ENDPOINT_URL']}/_ministack/sns/sms-messages"))["sms_messages"]
    return "\n".join(f"{number}  {text['Message']}" for number, texts in phones.items() for text in texts)
