"""Compares resources of Terraform with those of resources.json: the same properties under other names."""

import re
from typing import Any

from tools.deploy import template
from tools.deploy.terraform import alarm_name, snake

PARAMETERS = {
    "AlarmTopicArn": "arn:aws:sns:us-east-1:000000000000:alarms",
    "ApiBasePath": "v1",
    "ApiDomain": "api.example.com",
    "Dashboard": "true",
    "EmailFrom": "Tasks <tasks@example.com>",
    "EmailIdentityArn": "arn:aws:ses:us-east-1:000000000000:identity/example.com",
    "GatewayLogsRole": "true",
    "LogoutUrls": "https://app.example.com/goodbye",
    "Metrics": "true",
    "KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "PermissionsBoundaryArn": "arn:aws:iam::000000000000:policy/boundary",
    "ReservedConcurrency": "10",
    "WebAppApi": "https://api.example.com",
}
TYPES = {
    "AWS::DynamoDB::Table": "aws_dynamodb_table",
    "AWS::Cognito::UserPool": "aws_cognito_user_pool",
    "AWS::Cognito::UserPoolGroup": "aws_cognito_user_group",
    "AWS::Cognito::UserPoolClient": "aws_cognito_user_pool_client",
    "AWS::Cognito::UserPoolDomain": "aws_cognito_user_pool_domain",
    "AWS::Cognito::UserPoolResourceServer": "aws_cognito_resource_server",
    "AWS::Logs::LogGroup": "aws_cloudwatch_log_group",
    "AWS::Logs::MetricFilter": "aws_cloudwatch_log_metric_filter",
    "AWS::CloudWatch::Alarm": "aws_cloudwatch_metric_alarm",
    "AWS::CloudWatch::Dashboard": "aws_cloudwatch_dashboard",
    "AWS::S3::Bucket": "aws_s3_bucket",
    "AWS::S3::BucketPolicy": "aws_s3_bucket_policy",
    "AWS::CloudFront::OriginAccessControl": "aws_cloudfront_origin_access_control",
    "AWS::CloudFront::ResponseHeadersPolicy": "aws_cloudfront_response_headers_policy",
    "AWS::CloudFront::Distribution": "aws_cloudfront_distribution",
}
"""The types in resources.json: CloudFormation to Terraform."""


def resolve(value: Any) -> Any:  # noqa: C901 - a case for each intrinsic function
    """Return a part of resources.json with its intrinsic functions resolved; None for values that only AWS knows."""
    parameters = template.set_defaults(template.merge(), "prod")["Parameters"]
    values = {name: PARAMETERS.get(name, parameter.get("Default")) for name, parameter in parameters.items()} | {
        "AWS::Region": "us-east-1"
    }
    conditions = dict.fromkeys(("HasEmail", "HasKey", "HasLogoutUrls", "HasMfa"), True)
    conditions["IsProtected"] = values["DeletionProtection"] == "true"
    conditions |= {"HasAlarms": values["AlarmTopicArn"] != "", "HasMetrics": values["Metrics"] == "true"}
    conditions |= {"HasMetricAlarms": conditions["HasAlarms"] and conditions["HasMetrics"]}
    found = value
    match value:
        case {"Ref": "CallbackUrls"}:
            found = values["CallbackUrls"].split(",")
        case {"Fn::Split": [separator, part]}:
            found = resolve(part).split(separator)
        case {"Ref": name}:
            found = values.get(name)
        case {"Fn::Sub": text}:
            known = all(name in values for name in re.findall(r"\$\{([\w:.]+)\}", text))
            found = re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], text) if known else None
        case {"Fn::GetAtt": [name, "Arn"]} if name.endswith("Alarm"):
            found = f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:task-api-prod-{alarm_name(name)}"
        case {"Fn::Join": [separator, parts]}:
            found = separator.join(map(resolve, parts))
        case {"Fn::GetAtt": _}:
            found = None
        case {"Fn::If": [condition, yes, no]}:
            found = resolve(yes if conditions[condition] else no)
        case dict():
            found = {name: resolve(part) for name, part in value.items()}
        case list():
            found = [resolve(part) for part in value]
    return found


def to_terraform(kind: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of a resource under Terraform's names."""
    names = {"UserPoolName", "ClientName", "FilterName", "GroupName", "TableName"} | (
        {"LogGroupName"} if kind == "AWS::Logs::LogGroup" else set()
    )
    found = {"name" if name in names else snake(name): value for name, value in properties.items()}
    if kind == "AWS::DynamoDB::Table":
        found |= keys(found.pop("key_schema")) | {
            "attribute": [
                {"name": a["AttributeName"], "type": a["AttributeType"]} for a in found.pop("attribute_definitions")
            ],
            "ttl": found.pop("time_to_live_specification"),
            "point_in_time_recovery": {
                "Enabled": found.pop("point_in_time_recovery_specification")["PointInTimeRecoveryEnabled"]
            },
            "server_side_encryption": {"Enabled": True, "KmsKeyArn": found.pop("ssespecification")["KMSMasterKeyId"]},
            "local_secondary_index": [index(each) for each in found.pop("local_secondary_indexes")],
            "global_secondary_index": [index(each) for each in found.pop("global_secondary_indexes")],
        }
        del found["local_secondary_index"][0]["hash_key"]  # that of the table
        if "stream_specification" in found:
            found["stream_view_type"] = found.pop("stream_specification")["StreamViewType"]
    if kind == "AWS::Cognito::UserPool":
        found["password_policy"] = found.pop("policies")["PasswordPolicy"]
        found["account_recovery_setting"] = {"RecoveryMechanism": found["account_recovery_setting"]["RecoveryMechanisms"]}
        assert found.pop("enabled_mfas") == ["SOFTWARE_TOKEN_MFA"]
        found["software_token_mfa_configuration"] = {"Enabled": True}
        email = found["email_configuration"]
        found["email_configuration"] = {
            "email_sending_account": email["EmailSendingAccount"],
            "source_arn": email["SourceArn"],
            "from_email_address": email["From"],
        }
    if kind == "AWS::Cognito::UserPoolResourceServer":
        found["scope"] = found.pop("scopes")
    if kind == "AWS::CloudWatch::Alarm":
        found["ok_actions"] = found.pop("okactions")
        found["dimensions"] = {each["Name"]: each["Value"] for each in found.get("dimensions", [])}
    if kind == "AWS::Logs::MetricFilter":
        found["pattern"] = found.pop("filter_pattern")
        (metric,) = found.pop("metric_transformations")
        dimensions = {each["Key"]: each["Value"] for each in metric.pop("Dimensions", [])}
        found["metric_transformation"] = {snake(name.removeprefix("Metric")): value for name, value in metric.items()} | {
            "dimensions": dimensions
        }
    if kind.startswith(("AWS::CloudFront::", "AWS::S3::")):
        found = to_web(kind, found)
    return found


def to_web(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of a resource of the web app under Terraform's names."""
    if kind.startswith("AWS::CloudFront::"):
        (config,) = found.values()
        found = {snake(name): value for name, value in config.items()}
    if kind == "AWS::CloudFront::Distribution":
        found["origin"] = found.pop("origins")
        found["custom_error_response"] = found.pop("custom_error_responses")
        for origin in found["origin"]:
            origin |= {"origin_id": origin.pop("Id")}
            del origin["S3OriginConfig"]  # empty: the access control is used instead
        found["custom_error_response"][0] |= {
            "error_caching_min_ttl": found["custom_error_response"][0].pop("ErrorCachingMinTTL")
        }
        found["viewer_certificate"] = {"cloudfront_default_certificate": True}
    if kind == "AWS::S3::Bucket":
        assert set(found.pop("public_access_block_configuration").values()) == {True}  # a resource of its own in Terraform
    if kind == "AWS::S3::BucketPolicy":
        found.pop("policy_document")  # with ARNs that only AWS knows
    return found


def keys(schema: list[dict[str, str]]) -> dict[str, str]:
    return {f"{key['KeyType'].lower()}_key": key["AttributeName"] for key in schema}


def index(properties: dict[str, Any]) -> dict[str, Any]:
    kind = properties["Projection"]["ProjectionType"]
    return {"name": properties["IndexName"], "projection_type": kind} | keys(properties["KeySchema"])


def differences(wanted: Any, there: Any, at: str = "") -> list[str]:
    """Return the wanted values that Terraform has not; a single block is a list there, and some lists are sets."""
    if wanted is None or wanted == {}:
        return []
    if isinstance(wanted, dict):
        there = there[0] if isinstance(there, list) and len(there) == 1 else there
        if not isinstance(there, dict):
            return [f"{at}: {wanted} is {there}"]
        parts = {(name if name in there else snake(name)): part for name, part in wanted.items()}
        return [line for name, part in parts.items() for line in differences(part, there.get(name), f"{at}.{name}")]
    if isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        left = [part for part in wanted if all(differences(part, other) for other in there)]
        return [f"{at}: {left} is not in {there}"] * bool(left)
    return [] if wanted == there else [f"{at}: {wanted} is {there}"]
