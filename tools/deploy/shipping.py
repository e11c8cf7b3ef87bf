"""Selects the files in the zip of the functions, compiles them, and sets their order and modes, the same on every machine.

Chalice itself zips everything in chalicelib, vendor and packages, without bytecode, in the order of the file system and with
the modes of the checkout, and downloads wheels for the machine that packages first. tools/local/chalice_cli.py calls `apply`
to change that. docs/decisions/0009-package.md says why.
"""

import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chalice.deploy.packager import LambdaDeploymentPackager
from chalice.utils import OSUtils

from tools.errors import CommandError
from tools.stages import stage_config

_FOLDERS = ("chalicelib", "vendor")
_CACHE = "__pycache__"
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
_EXECUTABLE = (b"\x7fELF", b"#!")
_TASK = "/var/task"  # where Lambda unpacks the zip

_UNUSED = re.compile(
    r"""
      .*\.(pyi|pxd|h|rst) | .*/py\.typed         # for type checkers, compilers and readers
    | .*/tests?/.*
    | [^/]*\.data/.*                             # commands
    | [^/]*\.dist-info/(?!METADATA|entry_points\.txt|licenses/|LICENSE|NOTICE).*
    | (cffi|pycparser)/.*                        # of cffi, cryptography needs _cffi_backend.so alone
    """,
    re.VERBOSE,
)
"""Files of packages, by their path in the zip, that nothing in Lambda reads."""

_SERVICE = re.compile(r"botocore/data/([^/]+)/.*")
_CLIENT = re.compile(rb"""\bboto3\.client\(\s*["']([\w-]+)["']""")


def select_files(folder: Path) -> tuple[set[Path], set[Path]]:
    """Return the files of a checkout that are shipped and those that are left out, as relative paths; raises CommandError.

    Files that git tracks are shipped, except hidden ones, which may be secrets or caches. Without a repository, as in an
    unpacked release, all files but hidden ones and caches are shipped. A folder that is left out as a whole is one path.
    """
    paths = {Path("app.py"), *(path.relative_to(folder) for path in _list_files(folder))}
    tracked = _tracked(folder)
    shipped = {path for path in paths if _is_plain(path) and (not tracked or path in tracked)}
    folders = {parent for path in shipped for parent in path.parents}
    left_out = {next(part for part in (*reversed(path.parents), path) if part not in folders) for path in paths - shipped}
    return shipped, {path for path in left_out if path.name != _CACHE}


def report(left_out: set[Path]) -> None:
    """Print what is left out, so that a missing file is noticed before the deployment."""
    if left_out:
        print(f"Left out of the zip, hidden or not tracked by git: {', '.join(sorted(map(str, left_out)))}", flush=True)


def require_imports(folder: Path, left_out: set[Path]) -> None:
    """Raise CommandError if the app, which must be imported by now, imports a file that is left out."""
    imported = {Path(file) for module in [*sys.modules.values()] if (file := getattr(module, "__file__", None))}
    missing = [str(path) for path in sorted(left_out) if any(file.is_relative_to(folder / path) for file in imported)]
    if missing:
        message = f"The app imports files that are left out and would not start on AWS. Run: git add {' '.join(missing)}"
        raise CommandError(message)


def platform(folder: Path, stage: str) -> str:
    """Return the platform of a stage's functions, as pip names it."""
    return f"manylinux2014_{_MACHINES[stage_config(stage, folder)['lambda_architecture']]}"


def apply(folder: Path, stage: str) -> None:
    """Make Chalice build the zip of a stage from shipped files and locked wheels only; raises CommandError."""
    shipped, left_out = select_files(folder)
    report(left_out)
    lock = os.open(folder / ".chalice" / "deployments.lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends: concurrent commands would delete each other's files
    # Chalice would reuse a zip with the same contents, although file names and modes differ.
    shutil.rmtree(folder / ".chalice" / "deployments", ignore_errors=True)
    os.environ |= {
        "PIP_PLATFORM": platform(folder, stage),
        "PIP_ONLY_BINARY": ":all:",
        "PIP_NO_DEPS": "1",
        "PIP_REQUIRE_HASHES": "1",
    }
    sources = [(folder / path).read_bytes() for path in shipped if path.suffix == ".py"]
    services = {name.decode() for source in sources for name in _CLIENT.findall(source)}
    walk, create = OSUtils.walk, LambdaDeploymentPackager.create_deployment_package

    def walk_shipped(self: OSUtils, path: str, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        try:
            require_imports(folder, left_out)
        except CommandError as error:
            sys.exit(str(error))  # Chalice would print an exception with its traceback
        at, ours = Path(path), Path(path).parent.resolve() == folder.resolve()

        def is_wanted(file: Path) -> bool:
            return at.name / file in shipped if ours else _is_used(file, services)

        for root, folders, names in walk(self, path, **options):
            inside = Path(root).relative_to(at)
            yield root, folders, [name for name in names if is_wanted(inside / name)]

    def create_compiled(self: LambdaDeploymentPackager, *arguments: Any) -> str:
        path = create(self, *arguments)
        _compile(Path(path))
        return path

    OSUtils.walk = walk_shipped  # type: ignore[assignment,method-assign]
    LambdaDeploymentPackager.create_deployment_package = create_compiled  # type: ignore[assignment,method-assign]


def _compile(path: Path) -> None:
    """Add bytecode to a zip, for the Python that runs this, and write it again, sorted and with fixed dates and modes.

    Python compares the hash of the source in the bytecode, not the date, which is the same for all files of a zip. It is
    compiled in a process of its own: in Python 3.11 the result depends on the strings that other modules have interned.
    """
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        command = [sys.executable, "-I", "-S", "-m", "compileall", "-q", "-o", "0", "--invalidation-mode", "checked-hash"]
        command += ["-s", folder, "-p", _TASK, folder]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603 - no shell
        failed = re.findall(rf"Error compiling '{re.escape(folder)}/(.*)'", done.stdout)
        if failed:
            print(f"Shipped without bytecode, because they have syntax errors: {', '.join(failed)}", flush=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(file for file in Path(folder).rglob("*") if file.is_file()):
                contents = file.read_bytes()
                info = zipfile.ZipInfo(str(file.relative_to(folder)))  # its date is the default, 1980
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (stat.S_IFREG | (0o755 if contents.startswith(_EXECUTABLE) else 0o644)) << 16
                archive.writestr(info, contents)


def _list_files(folder: Path) -> Iterator[Path]:
    for name in _FOLDERS:
        for root, _, names in os.walk(folder / name, followlinks=True):
            yield from (Path(root) / file for file in names)


def _is_plain(path: Path) -> bool:
    return not any(part.startswith(".") or part == _CACHE or part.endswith((".pyc", "~")) for part in path.parts)


def _is_used(path: Path, services: set[str]) -> bool:
    """Return whether a file of a package is shipped: botocore has 15 MB of data for all services."""
    service = _SERVICE.fullmatch(path.as_posix())
    return service[1] in services if service else not _UNUSED.fullmatch(path.as_posix())


def _tracked(folder: Path) -> set[Path]:
    """Return the files that git tracks; empty without a repository. Raises CommandError."""
    command = ["git", "ls-files", "-z", "--recurse-submodules", "--", "app.py", *_FOLDERS]
    try:
        english = os.environ | {"LC_ALL": "C"}
        done = subprocess.run(command, cwd=folder, env=english, check=False, capture_output=True)  # noqa: S603 - fixed arguments
    except FileNotFoundError:
        done = subprocess.CompletedProcess(command, 1, b"", b"git is not installed: not a git repository")
    error = os.fsdecode(done.stderr).strip()
    # A repository may be in a folder above, and git may refuse to read it, for instance that of another user.
    if done.returncode and ((folder / ".git").exists() or "not a git repository" not in error):
        message = f"git cannot list the files to ship: {error}"
        raise CommandError(message)
    return {Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name}
