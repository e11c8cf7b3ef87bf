"""Chalice's deployment state, .chalice/deployed/<stage>.json: without the API in it, Chalice creates a second API."""

import json
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.errors import CommandError
from tools.stages import app_name, resource_name

_API = "rest_api"
"""The type and the name of the API there."""


def complete(stage: str, folder: Path) -> bool:
    """Add the API of a stage to the state in a checkout, if it exists and the state does not name it; return whether it did.

    A file can be missing in another checkout, or after a first deployment that failed: Chalice writes it at the end.
    Raises CommandError.
    """
    path = folder / ".chalice" / "deployed" / f"{stage}.json"
    empty: dict[str, Any] = {"resources": [], "schema_version": "2.0", "backend": "api"}
    state = json.loads(path.read_text()) if path.exists() else empty
    resources: list[dict[str, Any]] = state["resources"]
    try:
        found, exist = _find(stage)
    except (BotoCoreError, ClientError) as error:
        message = f"The APIs of this account cannot be read: {error}"
        raise CommandError(message) from error
    if any(resource.get("rest_api_id") in exist for resource in resources) or not found:
        return False
    if len(found) > 1:
        message = (
            f"There are several APIs {app_name()} with a stage {stage}: {', '.join(found)}. Delete all but the one in use "
            "(aws apigateway delete-rest-api --rest-api-id ID), then deploy again."
        )
        raise CommandError(message)
    print(f"Writing the API {found[0]} to {path.relative_to(folder)}, which does not name it.", flush=True)
    # Chalice needs the id alone, and writes the address with the deployment.
    api = {"name": _API, "resource_type": _API, "rest_api_id": found[0], "rest_api_url": ""}
    state["resources"] = [resource for resource in resources if resource["resource_type"] != _API] + [api]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(state, indent=2) + "\n")
    return True


def require(stage: str, folder: Path) -> bool:
    """Return whether there is a state of the stage; raises CommandError if only its function exists, ClientError."""
    if (folder / ".chalice" / "deployed" / f"{stage}.json").exists():
        return True
    functions: Any = boto3.client("lambda")
    try:
        functions.get_function(FunctionName=resource_name(stage))
    except functions.exceptions.ResourceNotFoundException:
        return False
    message = (
        f"There is no .chalice/deployed/{stage}.json, which names what to delete. Put it back, or write it anew with: "
        f"make deploy STAGE={stage}"
    )
    raise CommandError(message)


def _find(stage: str) -> tuple[list[str], set[str]]:
    """Return the ids of the APIs of this app with this stage, and those of all APIs of the account."""
    gateway: Any = boto3.client("apigateway")
    apis = {api["id"]: api["name"] for page in gateway.get_paginator("get_rest_apis").paginate() for api in page["items"]}
    ours = [api_id for api_id, name in apis.items() if name == app_name()]
    stages = {api_id: [found["stageName"] for found in gateway.get_stages(restApiId=api_id)["item"]] for api_id in ours}
    return [api_id for api_id in ours if stage in stages[api_id]], set(apis)
