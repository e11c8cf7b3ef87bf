"""Builds the folders and zips of the functions that are compared, as their users ship them."""

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.errors import CommandError
from tools.stages import ROOT

_HERE = Path(__file__).parent
_LIBRARIES = ROOT / ".venv" / "bench" / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"
APP, BARE, FLOOR = "this app", "bare handlers, boto3's resource", "the floor: bare handlers, no SDK"
SAME_CLIENT = "bare handlers, this app's client"
FASTAPI = "FastAPI and Mangum"
COMPILED, NOT_COMPILED = "compiled", "not compiled"


class Function(NamedTuple):
    """A function to measure."""

    name: str
    paths: dict[str, list[str]]
    """Where Python finds it, by the kind of SDK: compiled or not."""
    module: str
    handler: str
    zip_bytes: int


class _Peer(NamedTuple):
    files: list[str]
    """The first is the module of the handler."""
    packages: list[str]
    """Those in the zip, with all that they require."""


_BARE = ["bare.py", "checks.py", "storage.py"]
_PEERS = {
    BARE: _Peer([*_BARE, "table_boto3.py"], []),
    "Powertools router": _Peer(["resolver.py", *_BARE[1:], "table_boto3.py"], ["aws-lambda-powertools"]),
    "Powertools, pydantic, logger, idempotency": _Peer(
        ["resolver_pydantic.py", "models.py", *_BARE[1:], "table_boto3.py"], ["aws-lambda-powertools", "pydantic"]
    ),
    FASTAPI: _Peer(["fastapi_mangum.py", "models.py", *_BARE[1:], "table_boto3.py"], ["fastapi", "mangum", "pydantic"]),
    SAME_CLIENT: _Peer([*_BARE, "typed.py", "table_client.py"], []),
    FLOOR: _Peer([*_BARE, "typed.py", "table_http.py"], []),
}


def build(folder: Path) -> list[Function]:
    """Build all functions in a folder; raises CommandError."""
    if sys.platform != "linux":
        message = "The zip of the app has native code for Linux. Run make bench on Linux."
        raise CommandError(message)
    app = _build_app(folder / "app")
    functions = [app]
    sdk = {COMPILED: folder / "sdk-compiled", NOT_COMPILED: folder / "sdk"}
    for path in sdk.values():
        _copy_packages(["boto3"], path)
    command = [sys.executable, "-I", "-S", "-m", "compileall", "-q", str(sdk[COMPILED])]
    subprocess.run(command, check=True)  # noqa: S603 - no shell
    for number, (name, peer) in enumerate(_PEERS.items()):
        path = folder / str(number)
        _copy_packages(peer.packages, path)
        for file in peer.files:
            shutil.copy(_HERE / "peers" / file, path / re.sub("^table_.*", "table.py", file))
        paths = {kind: [str(path), str(at)] for kind, at in sdk.items()}
        zip_bytes = _zip(path)
        if name == SAME_CLIENT:
            paths, zip_bytes = {COMPILED: [str(path), *app.paths[COMPILED]]}, app.zip_bytes
        if name == FLOOR:
            del paths[NOT_COMPILED]
        functions.append(Function(name, paths, peer.files[0].removesuffix(".py"), "handler", zip_bytes))
    return functions


def _build_app(folder: Path) -> Function:
    """Run `make package` in a copy of this checkout, for the processor of this machine."""
    copy = folder.with_name("checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    for name in filter(None, listed.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    config = copy / ".chalice" / "config.json"
    settings = json.loads(config.read_text()) | {
        "lambda_architecture": "x86_64" if platform.machine() == "x86_64" else "arm64"
    }
    config.write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "tools", "package", "prod"], cwd=copy, check=False, capture_output=True, text=True
    )
    if done.returncode:
        message = f"The app cannot be packaged. Fix this, then run make bench again:\n{done.stdout}{done.stderr}"
        raise CommandError(message)
    archive = copy / "dist" / "prod" / "deployment.zip"
    with zipfile.ZipFile(archive) as contents:
        contents.extractall(folder)
    return Function(APP, {COMPILED: [str(folder)]}, "app", "app", archive.stat().st_size)


def _copy_packages(names: list[str], folder: Path) -> None:
    """Copy installed packages and what they require, without bytecode, as `pip install --no-compile --target` does."""
    folder.mkdir()
    found = {canonicalize_name(dist.name): dist for dist in importlib.metadata.distributions(path=[str(_LIBRARIES)])}
    wanted, done = [*names], set[str]()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in done:
            continue
        done.add(name)
        requirements = [Requirement(text) for text in found[name].requires or []]
        wanted += [one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
        for file in found[name].files or []:
            if file.suffix != ".pyc" and ".." not in file.parts:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(_LIBRARIES / file, folder / file)


def _zip(folder: Path) -> int:
    """Return the size of the zip of a folder."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path.stat().st_size
