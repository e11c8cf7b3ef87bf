"""The software bill of materials of deployment.zip, in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/)."""

import hashlib
import json
from pathlib import Path
from typing import Any

from chalicelib import __version__
from tools.generate import licences
from tools.stages import app_name


def write(package: Path) -> None:
    """Write sbom.json beside a zip: its third-party packages with versions and licences.

    It has no time and no random serial number, so the same commit gives the same bytes.
    """
    packages = licences.list_packages()
    version, _ = packages.pop("flask-swagger-ui")  # of which the zip has only Swagger UI, of the same version
    components = [_component("pypi", name, version, licence) for name, (version, licence) in packages.items()]
    components.append(_component("npm", "swagger-ui-dist", version, "Apache-2.0"))
    application = {
        "type": "application",
        "bom-ref": app_name(),
        "name": app_name(),
        "version": __version__,
        "licenses": [{"expression": "Apache-2.0"}],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(package.read_bytes()).hexdigest()}],
    }
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": application},
        "components": components,
    }
    package.with_name("sbom.json").write_text(json.dumps(document, indent=1) + "\n")


def _component(registry: str, name: str, version: str, licence: str) -> dict[str, Any]:
    url = f"pkg:{registry}/{name}@{version}"
    licences = [{"expression": licence}]
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "licenses": licences, "purl": url}
