"""The packages of npm that check the OpenAPI document and the web app, and their commands."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "tests" / "npm"
MODULES = FOLDER / "node_modules"
TYPES = ROOT / "web" / "openapi.d.ts"


def install() -> Path:
    """Return the folder of the packages, installed exactly as package-lock.json names them; skip the test without npm."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("There is no npm on this machine. Install Node.js 20 or later.")
    lock, installed = FOLDER / "package-lock.json", MODULES / "installed.json"
    with (FOLDER / "package.json").open() as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, check=True)
            shutil.copy(lock, installed)
    return MODULES


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the installed packages in their folder."""
    program = install() / ".bin" / command[0]
    environment = os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    return subprocess.run([program, *command[1:]], cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
