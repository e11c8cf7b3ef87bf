"""Several web origins: what the preflights of API Gateway allow, by their template, which no emulator evaluates."""

import json
import subprocess
from typing import Any

import pytest

from tests.support import npm
from tools.deploy import gateway_responses, template

ORIGINS = "https://app.example.com,capacitor://localhost"
ALLOW = "Access-Control-Allow-Origin"


def allowed(parameters: dict[str, str]) -> Any:
    """Return the headers that the preflight of a stage with these origins sets."""
    npm.install()
    (text,) = gateway_responses.preflight(ORIGINS).values()
    command = ["node", str(npm.FOLDER / "velocity.js"), text, json.dumps(parameters)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("origin", ORIGINS.split(","))
@pytest.mark.parametrize("name", ["origin", "Origin"])
def test_a_preflight_allows_each_origin_of_the_stage(name: str, origin: str) -> None:
    assert allowed({name: origin}) == {ALLOW: origin}


@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://app.example.com.evil.example", "null", "", ORIGINS])
def test_a_preflight_allows_no_other_origin(origin: str) -> None:
    assert allowed({"origin": origin}) == {}  # so the header that does not depend on the request stays: the first origin


def test_every_preflight_of_the_template_has_it() -> None:
    paths = template.merge()["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    for path in paths.values():
        response = path["options"]["x-amazon-apigateway-integration"]["responses"]["default"]
        assert response["responseTemplates"] == {
            kind: {"Fn::Sub": text} for kind, text in gateway_responses.preflight("${WebOrigin}").items()
        }
