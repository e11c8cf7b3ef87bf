"""Creates a virtual environment with exactly the packages of a lock file: `python tools/install.py FOLDER LOCK [REPEAT]`.

pip installs the pinned versions and checks their hashes. It resolves no dependencies, because the lock names them all, and
builds nothing, because only wheels are allowed: a newer release in the package index changes nothing. pip's own settings for
the package source (index, proxy, certificates) apply.

The environment is complete when it contains the file `.ready`, which is written last. REPEAT is the command that error
messages say to run next. Python versions that are too old must be able to parse this file, so that it can report them.
"""

import hashlib
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, cast

_MIN_PYTHON = (3, 11)
_PROGRESS_INTERVAL = 4  # seconds
_PIP_INSTALL = ("-m", "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input")
_CHECK_INSTALLED = "import importlib.metadata, sys; [importlib.metadata.version(name) for name in sys.argv[1:]]"
_SOURCE_SETTINGS = (
    "CACHE_DIR CERT CLIENT_CERT CONFIG_FILE DEFAULT_TIMEOUT EXTRA_INDEX_URL FIND_LINKS INDEX_URL KEYRING_PROVIDER "
    "NO_CACHE_DIR NO_INDEX PROXY RETRIES TIMEOUT TRUSTED_HOST USE_DEPRECATED USE_FEATURE"
)
"""The settings of pip (PIP_...) for the package source. All others are removed: they could change what is installed."""

_CAUSES = {
    "DO NOT MATCH THE HASHES": "A package differs from the one that {lock} pins. The usual reason is a proxy or an "
    "index that modifies packages; find the reason before you install it. Then",
    "No space left on device|Disk quota exceeded": "The disk is full. Make room (about 1 GB), then",
    "CERTIFICATE_VERIFY_FAILED": "pip does not trust the certificate of the package index. Behind a company proxy, set "
    "PIP_CERT to the file with the company's root certificates, then",
    "Could not find a version|No matching distribution|ConnectionError|Could not fetch|timed out|Max retries": "The package "
    "index cannot be reached, or lacks a package of {lock}. Check the network, the proxy (HTTPS_PROXY) and the index "
    "(PIP_INDEX_URL), then",
    "PackageNotFoundError": "pip installed into another folder: its configuration (pip config list) sets target, prefix "
    "or root. Remove that setting, then",
    "ensurepip": "This Python cannot create virtual environments. On Debian or Ubuntu, `apt install python3-venv`, then",
}
"""The explanation for a pattern in the output of pip or venv."""

IS_INTEL_MAC = sys.platform == "darwin" and platform.machine() == "x86_64"  # or an Intel Python on Apple silicon
_NO_WHEEL = (
    "Some packages have no wheels for Intel Macs any more (cryptography since version 49). On Apple silicon, use an "
    'arm64 Python. On Intel, use Linux: docker run -it --network host -v "$PWD:/app" -w /app python:3.12 bash. There'
)
_UNKNOWN_CAUSE = "The lines above say why. Fix it, then"


class InstallError(Exception):
    """The environment could not be created. The text says why and ends where the command to run next follows."""


def is_ready(folder: Path, lock: Path) -> bool:
    """Return whether the environment has the packages of the lock, for this Python, or for any if this one is too old."""
    try:
        digest, python = (folder / ".ready").read_text().splitlines()
    except (OSError, ValueError):
        return False
    usable = sys.version_info < _MIN_PYTHON or python == _python_version()
    return usable and digest == _digest(folder, lock) and os.access(str(folder / "bin" / "python"), os.X_OK)


def create(folder: Path, lock: Path) -> None:
    """Create the environment; a concurrent installation waits. Raises InstallError."""
    if sys.platform == "win32":
        message = "This project needs macOS, Linux or WSL. On Windows, use WSL, then"
        raise InstallError(message)
    if folder.is_symlink():
        message = f"{folder} is a symbolic link, and its target would be emptied. Remove the link, then"
        raise InstallError(message)
    with _hold_lock(folder) as descriptor:
        if is_ready(folder, lock):
            return
        (folder / ".ready").unlink(missing_ok=True)
        print(f"Installing the packages of {lock} into {folder} (once, about a minute) ...", flush=True)
        digest = _digest(folder, lock)  # before pip reads the lock file, which may change meanwhile
        run([sys.executable, "-m", "venv", "--clear", str(folder)], lock, descriptor)
        install(folder / "bin" / "python", lock, descriptor)
        (folder / ".ready").write_text(f"{digest}\n{_python_version()}\n")


def install(python: Path, lock: Path, *descriptors: int) -> None:
    """Install the packages of the lock into the environment of this interpreter, and check them; raises InstallError."""
    run([str(python), "-I", *_PIP_INSTALL, "--requirement", str(lock)], lock, *descriptors)
    run([str(python), "-I", "-m", "pip", "check"], lock, *descriptors)
    unconditional = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==[^;\n]*$", lock.read_text(), re.MULTILINE)
    run([str(python), "-I", "-c", _CHECK_INSTALLED, *unconditional], lock, *descriptors)


def _python_version() -> str:
    return "{}.{}".format(*sys.version_info)


def _digest(folder: Path, lock: Path) -> str:
    """Return a digest of lock file and folder: a moved environment is useless, because its scripts contain its path."""
    return hashlib.sha256(str(folder.absolute()).encode() + lock.read_bytes()).hexdigest()


@contextmanager
def _hold_lock(folder: Path) -> "Iterator[int]":
    """Hold the lock of this environment; yields its file descriptor, through which a child process holds it too."""
    import fcntl  # noqa: PLC0415 - missing on Windows, which this module reports

    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another installation into {folder} ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def run(command: "list[str]", lock: Path, *descriptors: int) -> None:
    """Run a command of pip or venv and print its progress; raises InstallError. The process inherits the descriptors."""
    overrides = {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
    allowed = {f"PIP_{name}" for name in _SOURCE_SETTINGS.split()}
    environment = {name: value for name, value in os.environ.items() if name in allowed or not name.startswith("PIP_")}
    process = subprocess.Popen(  # noqa: S603 - no shell
        command, env=environment | overrides, pass_fds=descriptors,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
    )  # fmt: skip
    lines: Queue[str] = Queue()
    output = cast("IO[str]", process.stdout)

    def read() -> None:
        for line in output:
            lines.put(line)

    reader = Thread(target=read, daemon=True)
    reader.start()
    printed: list[str] = []
    try:
        started = reported = time.monotonic()
        while reader.is_alive() or not lines.empty():
            with suppress(Empty):
                printed.append(lines.get(timeout=1))
            now = time.monotonic()
            if now - reported > _PROGRESS_INTERVAL:
                reported = now
                print(f"  {_progress(printed, lock)}, {now - started:.0f} s", flush=True)
    except BaseException:
        process.terminate()
        raise
    finally:
        process.wait()
        reader.join()
        output.close()
    if process.returncode:
        sys.stderr.write("".join(printed[-20:]))
        output_text = "".join(printed)
        cause = next((cause for pattern, cause in _CAUSES.items() if re.search(pattern, output_text)), _UNKNOWN_CAUSE)
        if IS_INTEL_MAC and "No matching distribution" in output_text:
            cause = _NO_WHEEL
        raise InstallError(cause.format(lock=lock.name))


def _progress(printed: "list[str]", lock: Path) -> str:
    first_words = [line.split(" ", 1)[0] for line in printed]
    if "Installing" in first_words:
        return "unpacking"
    if "Collecting" in first_words:
        return f"{first_words.count('Collecting')} of {_count(lock) - first_words.count('Ignoring')} packages downloaded"
    return "preparing"


def _count(lock: Path) -> int:
    return len(re.findall(r"^\S+==", lock.read_text(), re.MULTILINE))


def main() -> int:
    """Create the environment that the arguments name, unless it is ready; return the exit status."""
    folder, lock, *command = sys.argv[1:]
    if is_ready(Path(folder), Path(lock)):
        return 0
    repeat = command[0] if command else "repeat the command"
    if sys.version_info < _MIN_PYTHON:
        message = "Python 3.11 or later is required; this is {}.{}. Choose another one: {} PYTHON=python3.12"
        without = re.sub(r" PYTHON=\S+", "", repeat)
        print(message.format(sys.version_info[0], sys.version_info[1], without), file=sys.stderr)
        return 1
    for signal_ in (signal.SIGINT, signal.SIGTERM):  # a shell may have started this process with SIGINT ignored
        signal.signal(signal_, signal.default_int_handler)
    try:
        create(Path(folder), Path(lock))
    except InstallError as error:
        print(f"{error}: {repeat}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error}. Fix it, then: {repeat}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Stopped. To restart the installation: {repeat}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
