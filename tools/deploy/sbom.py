"""The software bill of materials of deployment.zip, in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/)."""

import hashlib
import json
from pathlib import Path

from chalicelib import __version__
from tools.generate import licences
from tools.stages import app_name


def write(package: Path) -> None:
    """Write sbom.json beside a zip: its third-party packages with versions and licences.

    It has no time and no random serial number, so the same commit gives the same bytes.
    """
    components = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version}",
            "name": name,
            "version": version,
            "licenses": [{"expression": licence}],
            "purl": f"pkg:pypi/{name}@{version}",
        }
        for name, (version, licence) in licences.list_packages().items()
    ]
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
