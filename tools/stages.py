"""The stages and their settings, from .chalice/config.json, and the AWS account that this process uses."""

import json
import os
from pathlib import Path
from typing import Any

from tools.errors import CommandError

ROOT = Path(__file__).resolve().parent.parent
DOMAIN = {"domain_name": "ApiDomain", "certificate_arn": "ApiCertificateArn", "url_prefix": "ApiBasePath"}
"""The parameter for each member of Chalice's key api_gateway_custom_domain."""
LOCAL = "local"
"""The one stage that is not on AWS."""


def read_config(folder: Path = ROOT) -> dict[str, Any]:
    """Return .chalice/config.json of a checkout."""
    config: dict[str, Any] = json.loads((folder / ".chalice" / "config.json").read_text())
    return config


def aws_stages() -> list[str]:
    """Return the names of the stages on AWS."""
    return [stage for stage in read_config()["stages"] if stage != LOCAL]


def stage_config(stage: str, folder: Path = ROOT) -> dict[str, Any]:
    """Return the configuration of a stage. Its own values win over the shared ones, as in Chalice.

    Numbers, true and false among the parameters become strings, which CloudFormation takes.
    """
    config = read_config(folder)
    own: dict[str, Any] = config["stages"][stage]
    found = config | own | {"environment_variables": config["environment_variables"] | own["environment_variables"]}
    found["parameters"] = {
        name: json.dumps(value) if isinstance(value, bool | int | float) else value
        for name, value in found["parameters"].items()
    }
    return found


def environment_variables(stage: str) -> dict[str, str]:
    """Return the environment variables that .chalice/config.json gives to a stage."""
    variables: dict[str, str] = stage_config(stage)["environment_variables"]
    return variables


def functions() -> list[str]:
    """Return the functions beside the API, for which `make generate` has written the policies."""
    return sorted({name for stage in aws_stages() for name in stage_config(stage).get("lambda_functions", {})})


def app_name() -> str:
    """Return the name of the app, with which the names of its AWS resources start."""
    return str(read_config()["app_name"])


def resource_name(stage: str, function: str = "") -> str:
    """Return the name of a stage's stack, table and user pool, or that of one of its functions."""
    return "-".join(filter(None, (app_name(), stage, function)))


def template_parameters(stage: str) -> dict[str, str]:
    """Return the values of the template's parameters that the configuration of a stage gives."""
    config = stage_config(stage)
    parts = int(config["environment_variables"]["SMS_PARTS_PER_DAY"])
    values: dict[str, str] = {"SmsPartsAlarm": str(max(1, parts * 8 // 10))} | config["parameters"]
    # Other members of Chalice's key have no parameter.
    domain: dict[str, str] = config.get("api_gateway_custom_domain") or {}
    values |= {parameter: domain[member] for member, parameter in DOMAIN.items() if member in domain}
    return values | {"Stage": stage}


def require_domain_as_key(stage: str, folder: Path = ROOT) -> None:
    """Raise CommandError for a domain among the parameters of a stage, where Chalice does not see it."""
    parameters = stage_config(stage, folder)["parameters"]
    misplaced = [name for name in DOMAIN.values() if parameters.get(name)]
    if misplaced:
        message = (
            f"{', '.join(misplaced)} under parameters of stage {stage} has no effect here. Set api_gateway_custom_domain of "
            "the stage in .chalice/config.json instead: docs/deploy.md, A domain of your own."
        )
        raise CommandError(message)


def tags(stage: str) -> dict[str, str]:
    """Return the tags of a stage's resources. Its own are added to the shared ones, as in Chalice."""
    config = read_config()
    found: dict[str, str] = config.get("tags", {}) | config["stages"][stage].get("tags", {})
    return found


def placeholder_settings() -> dict[str, str]:
    """Return values for the settings that only deployed resources have, for commands that do not call AWS."""
    name = "SetByTheMergeTemplate"
    pool = f"arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_{name}"
    return {
        "TABLE_NAME": name,
        "USER_POOL_ARN": pool,
        "WEB_CLIENT_ID": name,
        "MACHINE_CLIENT_IDS": "",
        "SIGN_IN_URL": f"https://{name}",
    }


def apply_placeholder_settings(stage: str) -> None:
    """Set the environment variables with which the app can be imported, for commands that do not call AWS."""
    os.environ.update(environment_variables(stage) | placeholder_settings())


def set_aws_variables(variables: dict[str, str]) -> None:
    """Set these environment variables and remove all other AWS_ variables: a profile or an endpoint would lead elsewhere."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)


def ignore_aws_account() -> None:
    """Hide credentials and settings of AWS, so that generated files do not depend on them."""
    no_files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    set_aws_variables(no_files | {"AWS_DEFAULT_REGION": "us-east-1"})  # boto3 and Chalice require a region


def require_stage(stage: str, *, on_aws: bool = True) -> None:
    """Raise CommandError for an unknown stage, or for the local one where a stage on AWS is required."""
    known = aws_stages() if on_aws else [LOCAL, *aws_stages()]
    if stage not in known:
        where = " on AWS" if on_aws else ""
        message = f"{stage} is not a stage{where}. Use one of {', '.join(known)} (.chalice/config.json)."
        raise CommandError(message)


def require_region() -> None:
    """Raise CommandError without an AWS region."""
    # Both may be missing, which commands report themselves.
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    try:
        region = boto3.Session().region_name
    except BotoCoreError as error:
        message = f"{error}. Set AWS_PROFILE to an existing profile, or run: unset AWS_PROFILE"
        raise CommandError(message) from error
    if not region:
        message = "No AWS region is set. Set one, for example: export AWS_DEFAULT_REGION=eu-central-1"
        raise CommandError(message)
