"""The commands of the AWS CLI that the documents show, by boto3: `python -m tests.support.aws_cli SERVICE OPERATION --option value ...`.

It knows what botocore's model of the operation has, `--query`, `--output text` and `--no-sign-request`. An option that is no
string is JSON, `Name=value,Name=value`, a list of words, or a flag.
"""

import json
import sys
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]
from botocore import UNSIGNED, xform_name
from botocore.config import Config
from botocore.model import OperationModel, ServiceModel, Shape

_OWN = {"query", "output", "no-sign-request"}
"""Options of the CLI itself."""


def operation_model(service: ServiceModel, operation: str) -> OperationModel:
    """Return the operation of a service by its name on the command line, such as put-item; raises KeyError."""
    return service.operation_model({xform_name(name, "-"): name for name in service.operation_names}[operation])


def parse(model: OperationModel, words: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the parameters of an operation, and the options of the CLI itself; raises KeyError for an unknown option."""
    members: dict[str, tuple[str, Shape]] = {}
    for member, shape in (model.input_shape.members if model.input_shape else {}).items():
        members[xform_name(member, "-")] = member, shape
    given: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            given[word.removeprefix("--")] = []
        else:
            given[list(given)[-1]].append(word)
    parameters = {}
    for name, values in given.items():
        positive = name.removeprefix("no-")
        if name in members:
            member, shape = members[name]
            parameters[member] = _value(shape, values)
        elif name not in _OWN:
            member, shape = members[positive]  # a flag that is turned off, such as --no-deletion-protection-enabled
            parameters[member] = not _value(shape, values)
    return parameters, {name: " ".join(values) for name, values in given.items() if name in _OWN}


def _value(shape: Any, values: list[str]) -> Any:
    if shape.type_name == "boolean" and not values:
        return True
    if shape.type_name == "list" and not values[0].startswith("["):
        return [_value(shape.member, [value]) for value in values]
    (text,) = values
    if shape.type_name in {"structure", "map"} and not text.startswith("{"):
        pairs = dict(pair.split("=", 1) for pair in text.split(","))
        return {name: _value(shape.members[name] if shape.type_name == "structure" else shape.value, [value]) for name, value in pairs.items()}  # fmt: skip
    return text if shape.type_name == "string" else json.loads(text)


def main(service: str, operation: str, *words: str) -> None:
    """Run a command and print its output."""
    unsigned = Config(signature_version=UNSIGNED) if "--no-sign-request" in words else None
    client: Any = boto3.client(service, config=unsigned)  # type: ignore[call-overload]
    model = operation_model(client.meta.service_model, operation)
    parameters, own = parse(model, list(words))
    response = getattr(client, xform_name(model.name))(**parameters)
    del response["ResponseMetadata"]
    found = jmespath.search(own.get("query", "@"), response)
    if own.get("output") == "text":
        rows = found if isinstance(found, list) and isinstance(found[0], list) else [found]
        print("\n".join("\t".join(map(str, row if isinstance(row, list) else [row])) for row in rows))
    elif found != {}:
        print(json.dumps(found, indent=4, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
