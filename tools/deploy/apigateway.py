"""Configures what Chalice cannot set on what it deploys: gateway responses, limits, logs, traces, TLS and tags."""

import json
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tools.deploy import gateway_responses, template
from tools.errors import CommandError
from tools.stages import app_name, functions, resource_name, stage_config, tags

_LOGS_POLICY = "arn:{}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
_PAUSE, _ATTEMPTS = 3, 20  # seconds: API Gateway accepts two gateway responses a second
_TLS_PAUSE, _TLS_ATTEMPTS = 30, 40  # seconds


def configure_stage(api_id: str, stage: str, folder: Path) -> None:
    """Set what is missing or different on the stage of an API, from the settings in a checkout.

    Raises CommandError, ClientError.
    """
    _ensure_logging_role()
    gateway: Any = boto3.client("apigateway")
    config = stage_config(stage, folder)
    changed = False
    first_origin = config["environment_variables"]["WEB_ORIGIN"].split(",")[0]
    for kind, response in gateway_responses.responses(first_origin).items():
        wanted = {**response, "statusCode": str(response["statusCode"])}
        current = gateway.get_gateway_response(restApiId=api_id, responseType=kind)
        if any(current.get(name) != value for name, value in wanted.items()):
            changed = True
            put = {"restApiId": api_id, "responseType": kind, **wanted}
            _retry_on("TooManyRequestsException", lambda put=put: gateway.put_gateway_response(**put))
    if gateway.get_rest_api(restApiId=api_id).get("securityPolicy") != template.TLS:
        policy = [{"op": "replace", "path": "/securityPolicy", "value": template.TLS}]
        policy.append({"op": "replace", "path": "/endpointAccessMode", "value": "BASIC"})
        gateway.update_rest_api(restApiId=api_id, patchOperations=policy)
        _await_available(gateway, api_id)
    if changed:  # a gateway response takes effect with the next deployment of the API
        _retry_on("TooManyRequestsException", lambda: gateway.create_deployment(restApiId=api_id, stageName=stage))
    account, region = boto3.client("sts").get_caller_identity()["Account"], boto3.Session().region_name
    log_group = f"arn:{partition()}:logs:{region}:{account}:log-group:/aws/apigateway/{resource_name(stage)}"
    values = {
        "/accessLogSettings/destinationArn": log_group,
        "/accessLogSettings/format": config["parameters"].get("AccessLogFormat", template.ACCESS_LOG),
        "/tracingEnabled": "true",
        "/*/*/throttling/rateLimit": config["parameters"]["RequestsPerSecond"],
        "/*/*/throttling/burstLimit": config["parameters"]["RequestsAtOnce"],
    }
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    gateway.update_stage(restApiId=api_id, stageName=stage, patchOperations=operations)
    api = f"arn:{partition()}:apigateway:{region}::/restapis/{api_id}"
    if given := tags(stage):  # Chalice tags the functions alone
        for arn in (api, f"{api}/stages/{stage}"):
            gateway.tag_resource(resourceArn=arn, tags=given)
        for function in ("", *functions()):
            found = boto3.client("lambda").get_function_configuration(FunctionName=resource_name(stage, function))
            role = found["Role"].rpartition("/")[2]
            boto3.client("iam").tag_role(RoleName=role, Tags=[{"Key": key, "Value": value} for key, value in given.items()])
    if acl := config["parameters"].get("WebAclArn"):
        boto3.client("wafv2").associate_web_acl(WebACLArn=acl, ResourceArn=f"{api}/stages/{stage}")


def _ensure_logging_role() -> None:
    """Give API Gateway a role to write logs, unless this account and region have one; raises ClientError."""
    gateway: Any = boto3.client("apigateway")
    if gateway.get_account().get("cloudwatchRoleArn"):
        return
    iam: Any = boto3.client("iam")
    name = f"{app_name()}-gateway-logs"
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    try:
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
    except iam.exceptions.EntityAlreadyExistsException:
        role = iam.get_role(RoleName=name)["Role"]
    iam.attach_role_policy(RoleName=name, PolicyArn=_LOGS_POLICY.format(partition()))
    change = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": role["Arn"]}]
    # IAM takes a while to make a new role known.
    _retry_on("BadRequestException", lambda: gateway.update_account(patchOperations=change))


def partition() -> str:
    """Return the partition of the region: aws, aws-us-gov, aws-cn or aws-eusc."""
    session = boto3.Session()
    return str(session.get_partition_for_region(session.region_name))


def _await_available(gateway: Any, api_id: str) -> None:
    """Wait until API Gateway has applied a new TLS policy, which takes up to 15 minutes; raises CommandError."""
    for _ in range(_TLS_ATTEMPTS):
        if gateway.get_rest_api(restApiId=api_id).get("apiStatus", "AVAILABLE") == "AVAILABLE":
            return
        print("Waiting for API Gateway to apply the TLS policy (up to 15 minutes, once) ...", flush=True)
        time.sleep(_TLS_PAUSE)
    message = f"API Gateway has not applied the TLS policy yet. Check API {api_id} in the console."
    raise CommandError(message)


def _retry_on(code: str, call: Any) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            call()
        except ClientError as error:
            if error.response["Error"]["Code"] != code or attempt == _ATTEMPTS:
                raise
            time.sleep(_PAUSE)
        else:
            return
