"""Writes chalicelib/static/aws.json: of botocore's data, what the app uses; chalicelib/aws.py loads it.

botocore has the operations and shapes of every service that it knows, with their documentation, and the endpoints of all.
"""

import json
import re
from typing import Any

import botocore
from botocore import xform_name
from botocore.loaders import Loader

from tools.generate import policies
from tools.stages import ROOT

FILE = ROOT / "chalicelib" / "static" / "aws.json"

_CLIENT = re.compile(r"""\bboto3\.client\(\s*["']([\w-]+)["']""")
_PLAIN = {"AttributeValue", "ConsumedCapacity"}
"""Shapes of DynamoDB that are left as their JSON is: a walk over their members is most of the time of a list."""
_KEPT = ("name", "http", "input", "output", "errors")
"""Members of an operation; the others are about endpoints of accounts, and about documentation."""


def document() -> str:
    """Return the text of the file."""
    loader = Loader()
    operations: dict[str, set[str]] = {}
    for path in sorted((ROOT / "chalicelib").rglob("*.py")):
        source = path.read_text()
        names = _CLIENT.findall(source)
        called = policies.calls(source) if names else {}
        for name in names:
            operations.setdefault(name, set()).update(called.get(name, set()))
    data = {
        "botocore": botocore.__version__,
        "files": {
            "endpoints": _endpoints(loader.load_data("endpoints"), operations.keys()),
            "sdk-default-configuration": loader.load_data("sdk-default-configuration"),
        },
        "services": {
            name: _model(loader.load_service_model(name, "service-2"), called) for name, called in sorted(operations.items())
        },
    }
    return json.dumps(data, separators=(",", ":")) + "\n"


def write() -> None:
    """Write the file."""
    FILE.write_text(document())


def _endpoints(data: dict[str, Any], services: Any) -> dict[str, Any]:
    """Return the endpoints of some services in all partitions and Regions."""
    return data | {
        "partitions": [
            partition
            | {"regions": {name: {} for name in partition["regions"]}}
            | {"services": {name: value for name, value in partition["services"].items() if name in services}}
            for partition in data["partitions"]
        ]
    }


def _model(model: dict[str, Any], called: set[str]) -> dict[str, Any]:
    """Return the model of a service with the operations that are called, and the shapes that these use."""
    operations = {
        name: {member: value for member, value in operation.items() if member in _KEPT}
        for name, operation in model["operations"].items()
        if xform_name(name) in called
    }
    used: dict[str, Any] = {}
    waiting = sorted(_shapes_in(list(operations.values())))
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = _shape(name, model["shapes"])
            waiting += sorted(_shapes_in(used[name]))
    return {"version": model["version"], "metadata": model["metadata"], "operations": operations, "shapes": used}


def _shape(name: str, shapes: dict[str, Any]) -> Any:
    """Return a shape without its documentation; one that only contains plain ones as a document, which is left as it is."""
    if _is_plain(name, shapes):
        return {"type": "structure", "members": {}, "document": True}
    return _without_documentation(shapes[name])


def _is_plain(name: str, shapes: dict[str, Any]) -> bool:
    shape = shapes[name]
    inner = shape.get("value") or shape.get("member")
    return name in _PLAIN or (inner is not None and _is_plain(inner["shape"], shapes))


def _without_documentation(value: Any, *, names: bool = False) -> Any:
    """Return a shape without the documentation that it and its members have; `names` if the keys of `value` are members."""
    if isinstance(value, dict):
        return {
            name: _without_documentation(inner, names=name == "members" and not names)
            for name, inner in value.items()
            if names or name != "documentation"
        }
    return value


def _shapes_in(value: Any) -> set[str]:
    """Return the names of the shapes that a part of a model refers to."""
    if isinstance(value, dict):
        own = {value["shape"]} if isinstance(value.get("shape"), str) else set[str]()
        return own.union(*map(_shapes_in, value.values()))
    return set[str]().union(*map(_shapes_in, value)) if isinstance(value, list) else set()
