"""Users of the local user pool: sign-up, sign-in and their passwords."""

import json
import os
import re
import secrets
from typing import Any

import boto3
from pycognito.aws_srp import AWSSRP

from tools.errors import CommandError
from tools.local.emulator import fetch
from tools.local.settings import HOME, python_command

_DEMO = ("alice@example.com", "bob@example.com", "admin@example.com")
_PASSWORDS = HOME / "passwords.json"


def ensure_demo_users() -> None:
    """Sign up the demo users that do not exist yet; set a new password for those whose password is lost."""
    for email in _DEMO:
        password = read_passwords().get(email)
        try:
            sign_up(email, password)
        except CommandError:
            if password is None:
                _reset_password(email)
    boto3.client("cognito-idp").admin_add_user_to_group(UserPoolId=pool_id(), Username=_DEMO[-1], GroupName="admin")


def allow_redirects(*urls: str) -> None:
    """Let the sign-in pages redirect to these addresses, after a sign-in and after a sign-out."""
    cognito = boto3.client("cognito-idp")
    names: Any = {"UserPoolId": pool_id(), "ClientId": os.environ["WEB_CLIENT_ID"]}
    client: Any = cognito.describe_user_pool_client(**names)["UserPoolClient"]
    allowed = client["CallbackURLs"]
    new = [url for url in urls if url not in allowed]
    if new:
        # An update resets what it does not name; the dates are not settings, and an empty value is not accepted.
        kept = {name: value for name, value in client.items() if value and not name.endswith("Date")}
        allowed = [*allowed, *new]
        cognito.update_user_pool_client(**kept | {"CallbackURLs": allowed, "LogoutURLs": allowed})


def sign_up(email: str, password: str | None = None) -> str:
    """Sign up a user with the mailed code, as a web client does, and return the password; raises CommandError."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        message = f"{email} is not an e-mail address. Use one such as you@example.com."
        raise CommandError(message)
    password = password or _new_password()
    cognito = boto3.client("cognito-idp")
    client = os.environ["WEB_CLIENT_ID"]
    try:
        cognito.sign_up(
            ClientId=client, Username=email, Password=password, UserAttributes=[{"Name": "email", "Value": email}]
        )
    except cognito.exceptions.UsernameExistsException as error:
        message = f"{email} is already signed up. Sign in with: {python_command()} -m tools token {email}"
        raise CommandError(message) from error
    cognito.confirm_sign_up(ClientId=client, Username=email, ConfirmationCode=_read_mailed_code(email))
    _save_password(email, password)
    return password


def sign_in(name: str) -> str:
    """Sign in a user with SRP, by e-mail address or by its part before @example.com; return the ID token.

    Raises CommandError.
    """
    email = name if "@" in name else f"{name}@example.com"
    password = read_passwords().get(email)
    if password is None:
        message = f"There is no local user {email}. Sign up with: {python_command()} -m tools signup {email}"
        raise CommandError(message)
    cognito = boto3.client("cognito-idp")
    try:
        session = AWSSRP(email, password, pool_id(), os.environ["WEB_CLIENT_ID"], client=cognito).authenticate_user()
    except cognito.exceptions.NotAuthorizedException as error:
        message = (
            f"The user pool rejects the password of {email} in {_PASSWORDS}. "
            f"Sign up another user, or stop `make run` and delete {HOME} to start empty."
        )
        raise CommandError(message) from error
    token: str = session["AuthenticationResult"]["IdToken"]
    return token


def pool_id() -> str:
    """Return the id of the local user pool."""
    return os.environ["USER_POOL_ARN"].rpartition("/")[2]


def read_passwords() -> dict[str, str]:
    """Return the passwords of the users who signed up on this machine, by e-mail address."""
    exists = _PASSWORDS.exists() and _PASSWORDS.stat().st_size
    passwords: dict[str, str] = json.loads(_PASSWORDS.read_text()) if exists else {}
    return passwords


def _save_password(email: str, password: str) -> None:
    passwords = read_passwords() | {email: password}
    _PASSWORDS.touch(mode=0o600)
    _PASSWORDS.write_text(json.dumps(passwords, indent=1))


def _reset_password(email: str) -> None:
    password = _new_password()
    boto3.client("cognito-idp").admin_set_user_password(
        UserPoolId=pool_id(), Username=email, Password=password, Permanent=True
    )
    _save_password(email, password)


def _new_password() -> str:
    # One of each kind of character that the policy requires, and one that the emulator also requires of Terraform's pool.
    return f"{secrets.token_urlsafe(9)}aA1-"


def _read_mailed_code(email: str) -> str:
    by_account = json.loads(fetch(f"{os.environ['AWS_ENDPOINT_URL']}/_ministack/ses/messages"))["messages"]
    mails = [mail for account in by_account.values() for mail in account if email in mail["To"]]
    code = mails and re.search(r"[0-9]{6}", max(mails, key=lambda mail: mail["Timestamp"])["BodyText"])
    if not code:
        message = f"No confirmation code was mailed to {email}. Stop `make run`, then start it again."
        raise CommandError(message)
    return code[0]
