"""Writes docs.html, the OpenAPI document in Swagger UI, and signed-in.html, where its sign-in ends, to chalicelib/static.

Scripts and styles are inline.
"""

import base64
import hashlib
from importlib import resources
from pathlib import Path

from chalicelib import about
from tools.stages import ROOT

_STATIC = ROOT / "chalicelib" / "static"
_START = """
const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  oauth2RedirectUrl: location.origin + location.pathname + "/signed-in",
  onComplete: () => ui.initOAuth({
    clientId: ui.specSelectors.specJson().getIn(["components", "securitySchemes", "users", "x-client-id"]),
    usePkceWithAuthorizationCodeGrant: true,
  }),
});
"""
_SIGNED_IN = """
const answer = new URLSearchParams(location.search);
const started = window.opener?.swaggerUIRedirectOauth2; // what Swagger UI leaves for this page
if (!started) {
  document.querySelector("p").textContent = "No sign-in waits for this page. Open the documentation and choose Authorize.";
} else {
  const { auth, redirectUrl, state, callback, errCb } = started;
  const code = answer.get("code");
  if (code && answer.get("state") === state) {
    delete started.state; // it is good for one sign-in
    auth.code = code;
    callback({ auth, redirectUrl });
  } else {
    const message = answer.get("error_description") ?? "The sign-in did not work, or was not started here. Try again.";
    errCb({ authId: auth.name, source: "auth", level: "error", message });
  }
  close();
}
"""


def pages() -> dict[Path, str]:
    """Return the text of each file; raises ValueError."""
    return {_STATIC / "docs.html": _docs(), _STATIC / "signed-in.html": _signed_in()}


def write() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text)


def _docs() -> str:
    """Return the page with a content security policy that allows only its own scripts and styles; raises ValueError."""
    viewer = resources.files("flask_swagger_ui") / "dist"
    style = (viewer / "swagger-ui.css").read_text().rpartition("/*#")[0]
    scripts = [(viewer / "swagger-ui-bundle.js").read_text(), _START]
    if any("</script" in script for script in scripts) or "</style" in style:
        message = "Swagger UI contains a closing tag, so it cannot be inline. Use another version of flask-swagger-ui."
        raise ValueError(message)
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; "
        f"connect-src 'self' {about.SIGN_IN_URL}; img-src data:; base-uri 'none'; form-action 'none'"
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


def _signed_in() -> str:
    policy = f"default-src 'none'; script-src {_hash(_SIGNED_IN)}; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>Signed in</title>\n</head>\n'
        f"<body>\n<p>This window closes itself.</p>\n<script>{_SIGNED_IN}</script>\n</body>\n</html>\n"
    )


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
