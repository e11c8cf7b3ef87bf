"""Signs in to the user pool of a deployed stage: `python -m tools token you@example.com --stage dev`."""

import os
import re
import sys
from contextlib import suppress
from getpass import getpass
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pycognito.aws_srp import AWSSRP

from tools.errors import CommandError

_POOL = re.compile(r"arn:aws[a-z-]*:cognito-idp:([a-z0-9-]+):[0-9]+:userpool/([\w-]+_\w+)")


def fetch_id_token(email: str, pool_arn: str, client_id: str) -> str:
    """Return an ID token of a user. Signs in with SRP, so that the password stays here; needs no credentials of AWS.

    The password is in the variable PASSWORD or in the first line of a pipe, or is asked for. So is the code of an
    authenticator app, in the next line. Raises CommandError.
    """
    pool = _POOL.fullmatch(pool_arn)
    if not pool:
        message = f"{pool_arn} is not the ARN of a user pool. Give the output UserPoolArn: arn:aws:cognito-idp:..."
        raise CommandError(message)
    region, pool_id = pool.groups()
    password = os.environ.get("PASSWORD") or _ask(f"Password of {email}: ")
    names = {"ClientId": client_id}
    try:
        cognito: Any = boto3.client("cognito-idp", region, config=Config(signature_version=UNSIGNED))
        srp = AWSSRP(email, password, pool_id, client_id, client=cognito)
        parameters = srp.get_auth_params()
        started = cognito.initiate_auth(**names, AuthFlow="USER_SRP_AUTH", AuthParameters=parameters)
        answers = srp.process_challenge(started["ChallengeParameters"], parameters)
        response = cognito.respond_to_auth_challenge(**names, ChallengeName="PASSWORD_VERIFIER", ChallengeResponses=answers)
        if response.get("ChallengeName") == "SOFTWARE_TOKEN_MFA":
            code = {"USERNAME": answers["USERNAME"], "SOFTWARE_TOKEN_MFA_CODE": _ask(f"Authenticator code of {email}: ")}
            response = cognito.respond_to_auth_challenge(
                **names, ChallengeName="SOFTWARE_TOKEN_MFA", Session=response["Session"], ChallengeResponses=code
            )
    except ClientError as error:
        raise CommandError(_explain(error, email, client_id)) from error
    except BotoCoreError as error:
        message = f"Cognito did not answer in {region}: {error} Correct that, then run the same command again."
        raise CommandError(message) from error
    if "AuthenticationResult" not in response:
        raise CommandError(_explain_challenge(response["ChallengeName"], email, pool_id))
    return str(response["AuthenticationResult"]["IdToken"])


def _ask(prompt: str) -> str:
    """Return what is typed, without echo and with the prompt on the terminal, or the next line of a pipe."""
    with suppress(EOFError, KeyboardInterrupt):
        answer = getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        if answer:
            return answer
    message = f"Nothing was given for: {prompt}Type it at the prompt or send it in a pipe; PASSWORD may have the password."
    raise CommandError(message)


def _explain(error: ClientError, email: str, client_id: str) -> str:
    code, text = error.response["Error"]["Code"], error.response["Error"]["Message"]
    user = f"--client-id {client_id} --username {email}"
    match code:
        case "NotAuthorizedException" | "UserNotFoundException":
            return f"Cognito rejects the sign-in of {email}: {text} Check the address, the stage and the password."
        case "UserNotConfirmedException":
            return (
                f"{email} is not confirmed. Take the code from the mail, and run: "
                f"aws cognito-idp confirm-sign-up {user} --confirmation-code CODE --no-sign-request"
            )
        case "PasswordResetRequiredException":
            return (
                f"The password of {email} was reset. Take the code from the mail, and run: "
                f"aws cognito-idp confirm-forgot-password {user} --confirmation-code CODE --password NEW --no-sign-request"
            )
        case "CodeMismatchException" | "ExpiredCodeException" | "EnableSoftwareTokenMFAException":
            return f"Cognito rejects the authenticator code of {email}: {text} Run the same command with the next code."
    return f"Cognito does not sign in {email}: {text} ({code}) Check the stage, or --pool-arn and --client-id."


def _explain_challenge(challenge: str, email: str, pool_id: str) -> str:
    if challenge == "NEW_PASSWORD_REQUIRED":
        return (
            f"{email} has a temporary password. Sign in once in the web app to choose another, or run as an operator: "
            f"aws cognito-idp admin-set-user-password --user-pool-id {pool_id} --username {email} --password NEW --permanent"
        )
    return f"Cognito asks {email} for {challenge}, which this command does not have. Sign in with the web app."
