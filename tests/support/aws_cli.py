"""The commands of the AWS CLI that docs/deploy.md shows, by boto3: `python -m tests.support.aws_cli SERVICE OPERATION --option value ...`.

It knows options with one string, `--query`, `--output text` and `--no-sign-request`; botocore rejects what the operation does not have.
"""

import json
import sys
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]
from botocore import UNSIGNED, xform_name
from botocore.config import Config


def main(service: str, operation: str, *words: str) -> None:
    """Run a command and print its output."""
    options: dict[str, Any] = {}
    rest = list(words)
    while rest:
        name = rest.pop(0).removeprefix("--")
        options[name] = True if name == "no-sign-request" else rest.pop(0)
    config = Config(signature_version=UNSIGNED) if options.pop("no-sign-request", False) else None
    query, output = options.pop("query", "@"), options.pop("output", "json")
    client: Any = boto3.client(service, config=config)  # type: ignore[call-overload]
    method = operation.replace("-", "_")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    members = {xform_name(member, "-"): member for member in model.input_shape.members}
    response = getattr(client, method)(**{members[name]: value for name, value in options.items()})
    del response["ResponseMetadata"]
    found = jmespath.search(query, response)
    if output == "text":
        rows = found if isinstance(found, list) else [[found]]
        print("\n".join("\t".join(map(str, row)) for row in rows))
    elif found != {}:
        print(json.dumps(found, indent=4))


if __name__ == "__main__":
    main(*sys.argv[1:])
