"""Writes chalicelib/static/docs.html: the OpenAPI document in Swagger UI, with all scripts and styles inline."""

import base64
import hashlib
from importlib import resources

from tools.stages import ROOT

PAGE = ROOT / "chalicelib" / "static" / "docs.html"

_START = """
SwaggerUIBundle({url: "openapi.json", dom_id: "#reference", deepLinking: true, validatorUrl: null});
"""


def render() -> str:
    """Return the page, with a content security policy that allows only its own scripts and styles; raises ValueError."""
    viewer = resources.files("flask_swagger_ui") / "dist"
    style = (viewer / "swagger-ui.css").read_text().rpartition("/*#")[0]
    scripts = [(viewer / "swagger-ui-bundle.js").read_text(), _START]
    if any("</script" in script for script in scripts) or "</style" in style:
        message = "Swagger UI contains a closing tag, so it cannot be inline. Use another version of flask-swagger-ui."
        raise ValueError(message)
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        "<!doctype html>\n"
        "<!-- Made with Swagger UI (Apache-2.0, github.com/swagger-api/swagger-ui). "
        "What that bundles is named in its swagger-ui-bundle.js.LICENSE.txt. -->\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>Task API</title>\n<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n'
        '<body>\n<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> says the same.</noscript>\n'
        '<div id="reference"></div>\n'
        f"{''.join(f'<script>{script}</script>' for script in scripts)}\n</body>\n</html>\n"
    )


def write() -> None:
    """Write the page."""
    PAGE.write_text(render())


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
