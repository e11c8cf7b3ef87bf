"""The web app of web/: the files that a host serves, and the headers that it sends with them."""

import shutil
from pathlib import Path

from tools.stages import ROOT

FOLDER = ROOT / "web"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""The type of each file that is served; other files of the folder, such as licences and types, are not for browsers."""


def files() -> dict[str, Path]:
    """Return the served files by path below the origin. Any other path is a page of the app: index.html."""
    served = (path for path in sorted(FOLDER.rglob("*")) if path.suffix in CONTENT_TYPES)
    return {f"/{path.relative_to(FOLDER).as_posix()}": path for path in served}


def write(folder: Path) -> None:
    """Write the served files to a folder. Others stay there: config.json has values that only a deployed stage has."""
    for path, source in files().items():
        (folder / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path[1:])


def headers(*servers: str) -> dict[str, str]:
    """Return the security headers of every response; the app may call its own origin and these servers, and nothing else."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": " ".join(["'self'", *servers]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
