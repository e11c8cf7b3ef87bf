"""What the zip of the functions holds, in which order and with which modes, whatever the checkout and its machine have.

Chalice zips everything in chalicelib and vendor, in the order of the file system and with the modes that the umask left, and
fetches wheels for its own machine first. `tools/local/chalice_cli.py` makes it do what is decided here.
"""

import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chalice.utils import ChaliceZipFile, OSUtils

from tools.environment import LocalError

_FOLDERS = ("chalicelib", "vendor")
_CACHE = "__pycache__"
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
_EXECUTABLE = (b"\x7fELF", b"#!")


def files(folder: Path) -> tuple[set[Path], set[Path]]:
    """Return which files of a project are shipped, and what is left out, relative to its folder; raises LocalError.

    Shipped is what git tracks, and no hidden file: secrets and the files of tools lie under such names. Where there is no
    repository, as in an unpacked release, it is everything but hidden files and caches. A folder that is left out as a whole
    is named alone.
    """
    found = {Path("app.py"), *(path.relative_to(folder) for path in _found(folder))}
    tracked = _tracked(folder)
    shipped = {path for path in found if _is_plain(path) and (not tracked or path in tracked)}
    kept = {parent for path in shipped for parent in path.parents}
    left_out = {next(part for part in (*reversed(path.parents), path) if part not in kept) for path in found - shipped}
    return shipped, {path for path in left_out if path.name != _CACHE}


def tell(left_out: set[Path]) -> None:
    """Print what is left out, so that nobody misses it only once it is deployed."""
    if left_out:
        print(f"Left out of the zip, hidden or not tracked by git: {', '.join(sorted(map(str, left_out)))}", flush=True)


def require_what_is_imported(folder: Path, left_out: set[Path]) -> None:
    """Raise LocalError where the app, which has to be imported by now, has imported what is left out."""
    imported = {Path(file) for module in [*sys.modules.values()] if (file := getattr(module, "__file__", None))}
    missed = [str(path) for path in sorted(left_out) if any(file.is_relative_to(folder / path) for file in imported)]
    if missed:
        message = f"The app imports what is left out and would not start on AWS: git add {' '.join(missed)}"
        raise LocalError(message)


def platform(folder: Path, stage: str) -> str:
    """Return the platform of a stage's functions, as pip names it."""
    config = json.loads((folder / ".chalice" / "config.json").read_text())
    return f"manylinux2014_{_MACHINES[config['stages'][stage].get('lambda_architecture', config['lambda_architecture'])]}"


def apply(folder: Path, stage: str) -> None:
    """Let Chalice build the zip of a stage from what is shipped and the wheels of its lock alone; raises LocalError."""
    shipped, left_out = files(folder)
    tell(left_out)
    lock = os.open(folder / ".chalice" / "deployments.lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends: two at once would remove each other's deployments
    # Chalice would take up a zip of the same contents, whatever the names and modes in it.
    shutil.rmtree(folder / ".chalice" / "deployments", ignore_errors=True)
    os.environ |= {
        "PIP_PLATFORM": platform(folder, stage),
        "PIP_ONLY_BINARY": ":all:",
        "PIP_NO_DEPS": "1",
        "PIP_REQUIRE_HASHES": "1",
    }
    walk, describe = OSUtils.walk, ChaliceZipFile._create_zipinfo  # noqa: SLF001 - the one place where modes are set

    def ordered(self: OSUtils, path: str, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        try:
            require_what_is_imported(folder, left_out)
        except LocalError as error:
            sys.exit(str(error))  # Chalice would show it with its traceback
        at, ours = Path(path), Path(path).parent.resolve() == folder.resolve()
        for root, folders, names in walk(self, path, **options):
            folders.sort()
            inside = Path(root).relative_to(at.parent)
            yield root, folders, sorted(name for name in names if not ours or inside / name in shipped)

    def described(self: ChaliceZipFile, filename: Any, *others: Any) -> Any:
        info = describe(self, filename, *others)
        with Path(filename).open("rb") as file:
            mode = 0o755 if file.read(4).startswith(_EXECUTABLE) else 0o644
        info.external_attr = (stat.S_IFREG | mode) << 16
        return info

    OSUtils.walk = ordered  # type: ignore[assignment,method-assign]
    ChaliceZipFile._create_zipinfo = described  # type: ignore[assignment,method-assign] # noqa: SLF001


def _found(folder: Path) -> Iterator[Path]:
    for name in _FOLDERS:
        for root, _, names in os.walk(folder / name, followlinks=True):
            yield from (Path(root) / each for each in names)


def _is_plain(path: Path) -> bool:
    return not any(part.startswith(".") or part == _CACHE or part.endswith((".pyc", "~")) for part in path.parts)


def _tracked(folder: Path) -> set[Path]:
    """Return what git tracks there; nothing where the project is in no repository. Raises LocalError."""
    command = ["git", "ls-files", "-z", "--recurse-submodules", "--", "app.py", *_FOLDERS]
    try:
        english = os.environ | {"LC_ALL": "C"}
        done = subprocess.run(command, cwd=folder, env=english, check=False, capture_output=True)  # noqa: S603 - our own words
    except FileNotFoundError:
        done = subprocess.CompletedProcess(command, 1, b"", b"it is not installed, so this is not a git repository to it")
    told = os.fsdecode(done.stderr).strip()
    # The repository may be that of a folder above, and git may refuse to read it: one of another user, for instance.
    if done.returncode and ((folder / ".git").exists() or "not a git repository" not in told):
        message = f"git cannot tell what is to be shipped: {told}"
        raise LocalError(message)
    return {Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name}
