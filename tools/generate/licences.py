"""Writes docs/licences.md: the licence of each third-party package that runs in Lambda, from its metadata."""

import re
from importlib import metadata

from tools.stages import ROOT

PAGE = ROOT / "docs" / "licences.md"

_EMBEDDED = ("chalice", "flask-swagger-ui")
"""Not in requirements.txt: Chalice adds its runtime to the zip, and docs.html contains Swagger UI."""

_UNCLEAR = {"chalice": "Apache-2.0", "python-dateutil": "BSD-3-Clause"}
"""The SPDX expression where the metadata has none. Later parts of python-dateutil may be used under Apache-2.0 instead."""

_START = """\
# Licences of what is shipped

The third-party packages in the zip of the functions; this project itself is under Apache-2.0 ([LICENSE](../LICENSE)).
`make generate` writes this page from `requirements.txt`. The licence texts are in the zip, in the `.dist-info` folders.

| Package | Version | Licence |
| --- | --- | --- |
"""
_END = """
The wheels of cryptography contain OpenSSL (Apache-2.0), those of cffi contain libffi (MIT). Chalice adds its runtime
to the zip. Swagger UI (Apache-2.0) in `chalicelib/static/docs.html` is from flask-swagger-ui.
"""


def list_packages() -> dict[str, tuple[str, str]]:
    """Return {name: (version, licence)} of the packages in the zip."""
    pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    return {name: (metadata.version(name), _licence(name)) for name in sorted([*pinned, *_EMBEDDED])}


def render() -> str:
    """Return the text of the page."""
    rows = "".join(f"| {name} | {version} | {licence} |\n" for name, (version, licence) in list_packages().items())
    return f"{_START}{rows}{_END}"


def write() -> None:
    """Write the page."""
    PAGE.write_text(render())


def _licence(name: str) -> str:
    package = metadata.metadata(name).json
    return _UNCLEAR.get(name) or str(package.get("license_expression") or package.get("license") or "unknown")
