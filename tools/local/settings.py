"""The settings of the local AWS, published in a file for other terminals."""

import json
import os
import shlex
import sys
from pathlib import Path

from tools.stages import ROOT

HOME = Path(os.environ.get("LOCAL_HOME") or ROOT / ".local").resolve()
"""The folder of everything that the local AWS and the API on it write."""
HOST = "127.0.0.1"
_PUBLISHED = HOME / "running.json"


def aws_variables(port: int) -> dict[str, str]:
    """Return the environment variables with which boto3 calls the local AWS on that port."""
    no_proxy = ",".join([HOST, "localhost", *filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy")])])
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,  # urllib prefers this one
    }


def publish(variables: dict[str, str]) -> None:
    """Write the environment variables for other terminals."""
    new = _PUBLISHED.with_suffix(".new")
    new.write_text(json.dumps(variables, indent=1))
    new.replace(_PUBLISHED)


def unpublish() -> None:
    """Remove the published environment variables."""
    _PUBLISHED.unlink(missing_ok=True)


def read_published() -> dict[str, str]:
    """Return the published environment variables; empty if there are none."""
    try:
        published = json.loads(_PUBLISHED.read_text())
    except (OSError, ValueError):
        return {}
    return published if isinstance(published, dict) else {}


def format_exports(variables: dict[str, str]) -> str:
    """Return shell commands that set the environment variables and unset all other AWS_ variables."""
    unset = "for name in $(env | sed -n 's/^\\(AWS_[A-Z0-9_]*\\)=.*/\\1/p'); do unset $name; done"
    return "\n".join([unset, *(f"export {name}={shlex.quote(value)}" for name, value in variables.items())])


def python_command() -> str:
    """Return how another terminal in the folder of this checkout starts this Python with this LOCAL_HOME."""
    path = Path(sys.executable)
    home = os.environ.get("LOCAL_HOME")
    prefix = f"LOCAL_HOME={shlex.quote(home)} " if home else ""
    return prefix + shlex.quote(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path))
