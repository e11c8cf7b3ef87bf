"""Writes docs/licences.md: what runs in Lambda that others have written, and under which licence, as its packages say."""

import re
from importlib import metadata

from tools.environment import ROOT

PAGE = ROOT / "docs" / "licences.md"

_BESIDE = (
    "chalice",
    "flask-swagger-ui",
)  # Chalice packs its own runtime; the viewer is inside of chalicelib/static/docs.html
_START = """\
# Licences of what is shipped

What the zip of the functions holds beside this project (Apache-2.0, [LICENSE](../LICENSE)); `make generate` writes this page
from the packages in `requirements.txt`. Each brings its licence text along. boto3 (Apache-2.0) is in Lambda already.

| Package | Version | Licence |
| --- | --- | --- |
"""
_END = """
The wheels of cryptography bring OpenSSL (Apache-2.0) along, those of cffi libffi (MIT). Chalice packs its own runtime.
flask-swagger-ui is where Swagger UI (Apache-2.0) in `chalicelib/static/docs.html` is taken from.
"""


def shipped() -> dict[str, tuple[str, str]]:
    """Return name: (version, licence) of each package that the zip holds."""
    pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    return {name: (metadata.version(name), _licence(name)) for name in sorted([*pinned, *_BESIDE])}


def page() -> str:
    """Return the page."""
    rows = "".join(f"| {name} | {version} | {licence} |\n" for name, (version, licence) in shipped().items())
    return f"{_START}{rows}{_END}"


def write() -> None:
    """Write the page."""
    PAGE.write_text(page())


def _licence(name: str) -> str:
    told = metadata.metadata(name).json
    return str(told.get("license_expression") or told.get("license") or "not told")
