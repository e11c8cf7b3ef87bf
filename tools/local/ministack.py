"""Runs ministack 1.5.33 with patches that deployments of this app need: for `make rehearse` and tests.

Each patch adds what AWS does and ministack leaves out; none makes it more lenient than AWS.
"""

# ruff: noqa: SLF001 - a patch replaces what is private

import json
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from ministack.app import main
from ministack.services import apigateway_v1 as gateway
from ministack.services import cloudwatch, cognito, lambda_svc
from ministack.services.cloudformation import provisioners

_create_stage = provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::Stage"]["create"]
_import_operation = gateway._import_operation
_import_rest_api = gateway._import_rest_api
_handle_request = gateway.handle_request
_apply_patch = gateway._apply_patch
_describe_alarms = cloudwatch._describe_alarms


def import_operation(api_id: str, resource_id: str, method: str, operation: dict[str, Any], *rest: Any) -> None:
    """Keep request templates and responses of an integration, which preflights need; ministack keeps only the type."""
    _import_operation(api_id, resource_id, method, operation, *rest)
    integration = operation["x-amazon-apigateway-integration"]
    kept = gateway._resources[api_id][resource_id]["resourceMethods"][method]["methodIntegration"]
    kept["requestTemplates"] = integration.get("requestTemplates", {})
    for response in integration.get("responses", {}).values():
        gateway._put_integration_response(api_id, resource_id, method, response["statusCode"], response)


def import_parts(api_id: str, spec: dict[str, Any]) -> None:
    """Keep the binary media types and the gateway responses."""
    gateway._rest_apis[api_id]["binaryMediaTypes"] = spec.get("x-amazon-apigateway-binary-media-types", [])
    for kind, response in spec.get("x-amazon-apigateway-gateway-responses", {}).items():
        gateway._put_gateway_response(api_id, kind, response)


def import_rest_api(spec: dict[str, Any], base_data: dict[str, Any] | None = None) -> str:
    """Keep the parts that `import_parts` names, too."""
    api_id: str = _import_rest_api(spec, base_data)
    import_parts(api_id, spec)
    return api_id


def overwrite_rest_api(api_id: str, spec: dict[str, Any]) -> Any:
    """Replace an API's definition, as PutRestApi with mode=overwrite does, which ministack lacks."""
    resources = gateway._resources[api_id]
    for resource_id in [key for key, resource in resources.items() if resource["path"] != "/"]:
        del resources[resource_id]
    gateway._authorizers_v1[api_id] = {}
    gateway._gateway_responses[api_id] = {}
    schemes = gateway._import_security_schemes(api_id, spec)
    for path, item in spec["paths"].items():
        gateway._import_path_item(api_id, path, item, schemes, spec.get("security"))
    import_parts(api_id, spec)
    return gateway._v1_response(gateway._rest_api_view(gateway._rest_apis[api_id]))


def apply_patch(obj: dict[str, Any], operations: list[dict[str, Any]]) -> Any:
    """Patch binary media types as a list with one path per type; ministack replaces the list with an object."""
    others = []
    for operation in operations:
        _, name, *key = operation["path"].split("/")
        if name == "binaryMediaTypes" and key:
            kind = gateway._decode_json_pointer_token(key[0])
            rest = [other for other in obj[name] if other != kind]
            obj[name] = rest if operation["op"] == "remove" else [*rest, kind]
        else:
            others.append(operation)
    return _apply_patch(obj, others)


async def handle_request(method: str, path: str, headers: Any, body: bytes, query_params: dict[str, Any]) -> Any:
    """Add ImportRestApi, which ministack takes for CreateRestApi, and PutRestApi, which it lacks."""
    parts = path.strip("/").split("/")
    if method == "POST" and parts == ["restapis"] and "mode" in query_params:
        api_id = import_rest_api(json.loads(body), {"endpointConfiguration": {"types": ["REGIONAL"]}})
        return gateway._v1_response(gateway._rest_api_view(gateway._rest_apis[api_id]), 201)
    if method == "PUT" and parts[:-1] == ["restapis"] and parts[-1] in gateway._rest_apis:
        return overwrite_rest_api(parts[-1], json.loads(body))
    return await _handle_request(method, path, headers, body, query_params)


def create_stage(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
    """Keep the access log settings of a stage in a stack, which ministack drops."""
    created = _create_stage(logical_id, properties, stack_name)
    log = properties["AccessLogSetting"]
    kept = {"destinationArn": log["DestinationArn"], "format": log["Format"]}
    gateway._stages_v1[properties["RestApiId"]][properties["StageName"]]["accessLogSettings"] = kept
    return created


def describe_alarms(params: dict[str, Any], sent: Any, *otherwise_encoded: bool) -> Any:
    """Return all properties of an alarm in XML too, for Terraform; ministack returns some of them there."""
    if any(otherwise_encoded):
        return _describe_alarms(params, sent, *otherwise_encoded)
    names = [values[0] for key, values in params.items() if key.startswith("AlarmNames.member.")]
    alarms = json.loads(_describe_alarms({}, {"AlarmNames": names}, is_cbor=False, is_json=True)[2])["MetricAlarms"]
    for alarm in alarms:
        alarm |= {name: cloudwatch._ts_iso(alarm[name]) for name in alarm if name.endswith("Timestamp")}
        if alarm["ExtendedStatistic"]:
            del alarm["Statistic"]  # an alarm has one of the two
    return cloudwatch._xml(
        200, "DescribeAlarmsResponse", f"<DescribeAlarmsResult>{xml({'MetricAlarms': alarms})}</DescribeAlarmsResult>"
    )


async def fetch_jwks(url: str) -> Any:
    """Read the keys of a pool from memory.

    ministack fetches them from itself over HTTP with a timeout of 5 seconds, and returns 401 for valid tokens if a busy
    machine takes longer.
    """
    pool_id = urlsplit(url).path.split("/")[1]
    if cognito._get_pool_unscoped(pool_id) is None:
        raise ValueError(pool_id)
    return json.loads(cognito.well_known_jwks(pool_id)[2])


def xml(value: Any) -> str:
    """Return a value in the XML of the Query protocol."""
    if isinstance(value, dict):
        return "".join(f"<{name}>{xml(part)}</{name}>" for name, part in value.items() if part is not None)
    if isinstance(value, list):
        return "".join(f"<member>{xml(part)}</member>" for part in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


cloudwatch._describe_alarms = describe_alarms
provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::Stage"]["create"] = create_stage
gateway._apply_patch = apply_patch
gateway._import_operation = import_operation
gateway._import_rest_api = import_rest_api
gateway.handle_request = handle_request
gateway._fetch_jwks = fetch_jwks
lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = 0  # waiters poll only every 5 seconds

if __name__ == "__main__":
    main()
