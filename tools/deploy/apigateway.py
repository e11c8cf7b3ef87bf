"""What Chalice cannot set on the API that it has deployed: refusals, limits, logs, traces and TLS."""

import json
import time
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tools.deploy import gateway_responses, stack, template
from tools.environment import LocalError, stage_config

_LOGS_ROLE = "task-api-gateway-logs"
_LOGS_POLICY = "arn:{}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
_PAUSE = 3  # seconds: API Gateway takes two gateway responses a second
_TRIES = 20
_SLOW_PAUSE, _SLOW_TRIES = 30, 40


def finish(api_id: str, stage: str) -> None:
    """Set what is missing on a stage that Chalice has deployed; what is there stays. Raises LocalError, ClientError."""
    _let_it_log()
    gateway: Any = boto3.client("apigateway")
    chosen = stage_config(stage)
    changed = False
    for kind, response in gateway_responses.responses(chosen["environment_variables"]["WEB_ORIGIN"]).items():
        wanted = {**response, "statusCode": str(response["statusCode"])}
        there = gateway.get_gateway_response(restApiId=api_id, responseType=kind)
        if any(there.get(part) != value for part, value in wanted.items()):
            changed = True
            put = {"restApiId": api_id, "responseType": kind, **wanted}
            _patiently(lambda put=put: gateway.put_gateway_response(**put), "TooManyRequestsException")
    if gateway.get_rest_api(restApiId=api_id).get("securityPolicy") != template.TLS:
        policy = [{"op": "replace", "path": "/securityPolicy", "value": template.TLS}]
        policy.append({"op": "replace", "path": "/endpointAccessMode", "value": "BASIC"})
        gateway.update_rest_api(restApiId=api_id, patchOperations=policy)
        _await_available(gateway, api_id)
    if changed:  # else what Chalice has deployed has them, and another deployment would change nothing
        _patiently(lambda: gateway.create_deployment(restApiId=api_id, stageName=stage), "TooManyRequestsException")
    identity = boto3.client("sts").get_caller_identity()["Account"]
    log = f"arn:{partition()}:logs:{boto3.Session().region_name}:{identity}:log-group:/aws/apigateway/{stack.name(stage)}"
    values = {
        "/accessLogSettings/destinationArn": log,
        "/accessLogSettings/format": template.ACCESS_LOG,
        "/tracingEnabled": "true",
        "/*/*/throttling/rateLimit": chosen["parameters"]["RequestsPerSecond"],
        "/*/*/throttling/burstLimit": chosen["parameters"]["RequestsAtOnce"],
    }
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    gateway.update_stage(restApiId=api_id, stageName=stage, patchOperations=operations)


def _let_it_log() -> None:
    """Give API Gateway a role with which it may write logs, where the account and region have none; raises ClientError."""
    gateway: Any = boto3.client("apigateway")
    if gateway.get_account().get("cloudwatchRoleArn"):
        return
    iam: Any = boto3.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    try:
        role = iam.create_role(RoleName=_LOGS_ROLE, AssumeRolePolicyDocument=document)["Role"]
    except iam.exceptions.EntityAlreadyExistsException:
        role = iam.get_role(RoleName=_LOGS_ROLE)["Role"]
    iam.attach_role_policy(RoleName=_LOGS_ROLE, PolicyArn=_LOGS_POLICY.format(partition()))
    change = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": role["Arn"]}]
    _patiently(lambda: gateway.update_account(patchOperations=change), "BadRequestException")  # a new role takes a while


def partition() -> str:
    """Return the partition of the region: aws, aws-us-gov, aws-cn or aws-eusc."""
    session = boto3.Session()
    return str(session.get_partition_for_region(session.region_name))


def _await_available(gateway: Any, api_id: str) -> None:
    """Wait until the API may be deployed again: a change of its security policy takes up to 15 minutes."""
    for _ in range(_SLOW_TRIES):
        if gateway.get_rest_api(restApiId=api_id).get("apiStatus", "AVAILABLE") == "AVAILABLE":
            return
        print("API Gateway is setting the TLS policy; this takes up to 15 minutes, once ...", flush=True)
        time.sleep(_SLOW_PAUSE)
    message = "API Gateway has not set the TLS policy yet. Look at the API in the console."
    raise LocalError(message)


def _patiently(call: Any, code: str) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            call()
        except ClientError as error:
            if error.response["Error"]["Code"] != code or attempt == _TRIES:
                raise
            time.sleep(_PAUSE)
        else:
            return
