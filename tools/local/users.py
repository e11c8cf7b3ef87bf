"""The users of the local pool: who they are, how they sign up, how they sign in."""

import json
import os
import re
import secrets

import boto3
from pycognito.aws_srp import AWSSRP

from tools.environment import HOME, LocalError, answers, python

DEMO = ("alice@example.com", "bob@example.com", "admin@example.com")
_FILE = HOME / "people.json"


def ensure_demo() -> None:
    """Sign up those demo users that are not there yet."""
    for email in DEMO:
        password = passwords().get(email)
        try:
            signup(email, password)
        except LocalError:
            if password is None:
                _reset(email)
    boto3.client("cognito-idp").admin_add_user_to_group(UserPoolId=_pool(), Username=DEMO[-1], GroupName="admin")


def signup(email: str, password: str | None = None) -> str:
    """Sign up a user with the code that is mailed, as a web client does, and return the password; raises LocalError."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        message = f"{email} is not an e-mail address; one looks like you@example.com."
        raise LocalError(message)
    password = password or _new_password()
    cognito = boto3.client("cognito-idp")
    client = os.environ["WEB_CLIENT_ID"]
    try:
        cognito.sign_up(
            ClientId=client, Username=email, Password=password, UserAttributes=[{"Name": "email", "Value": email}]
        )
    except cognito.exceptions.UsernameExistsException as error:
        message = f"{email} has signed up already. Sign in with: {python()} -m tools token {email}"
        raise LocalError(message) from error
    cognito.confirm_sign_up(ClientId=client, Username=email, ConfirmationCode=_mailed_code(email))
    _remember(email, password)
    return password


def token(name: str) -> str:
    """Return a fresh ID token of a user, by a sign-in with SRP; raises LocalError."""
    email = name if "@" in name else f"{name}@example.com"
    password = passwords().get(email)
    if password is None:
        message = f"Nobody here is called {email}. Add them with: {python()} -m tools signup {email}"
        raise LocalError(message)
    cognito = boto3.client("cognito-idp")
    try:
        signed_in = AWSSRP(email, password, _pool(), os.environ["WEB_CLIENT_ID"], client=cognito).authenticate_user()
    except cognito.exceptions.NotAuthorizedException as error:
        message = (
            f"The pool refuses the password of {email} in {_FILE}. Sign up somebody else, or delete {HOME} to start anew."
        )
        raise LocalError(message) from error
    id_token: str = signed_in["AuthenticationResult"]["IdToken"]
    return id_token


def _pool() -> str:
    return os.environ["USER_POOL_ARN"].rpartition("/")[2]


def _mailed_code(email: str) -> str:
    mails = json.loads(answers(f"{os.environ['AWS_ENDPOINT_URL']}/_ministack/ses/messages"))["messages"]
    mine = [mail for account in mails.values() for mail in account if email in mail["To"]]
    code = mine and re.search(r"[0-9]{6}", max(mine, key=lambda mail: mail["Timestamp"])["BodyText"])
    if not code:
        message = f"No code has been mailed to {email}. Stop `make run` and start it again."
        raise LocalError(message)
    return code[0]


def _reset(email: str) -> None:
    password = _new_password()
    boto3.client("cognito-idp").admin_set_user_password(
        UserPoolId=_pool(), Username=email, Password=password, Permanent=True
    )
    _remember(email, password)


def _new_password() -> str:
    return f"{secrets.token_urlsafe(9)}aA1"  # of every kind that the pool demands


def passwords() -> dict[str, str]:
    """Return the passwords of the users that were signed up on this machine, by e-mail address."""
    known: dict[str, str] = json.loads(_FILE.read_text()) if _FILE.exists() and _FILE.stat().st_size else {}
    return known


def _remember(email: str, password: str) -> None:
    known = passwords() | {email: password}
    _FILE.touch(mode=0o600)
    _FILE.write_text(json.dumps(known, indent=1))
