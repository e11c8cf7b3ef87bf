"""Makes a virtual environment of exactly what a lock file names: `python tools/install.py FOLDER LOCK [AGAIN]`.

pip installs the pinned versions and compares their hashes. It looks up no dependencies, because the lock names them all, and
builds nothing, because only wheels are taken: a newer release in the package index changes nothing. pip's own settings of
where packages come from (an index, a proxy, certificates) apply.

The environment counts as ready when it holds the file `.ready`, which is written last. AGAIN is the command that an error
message tells people to run. A Python that is too old must be able to read this file, so that it can say what is needed.
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

_OLDEST = (3, 11)
_QUIET = 4  # seconds without a line of ours
_PIP_INSTALL = ("-m", "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input")
_ARE_THERE = "import importlib.metadata, sys; [importlib.metadata.version(name) for name in sys.argv[1:]]"
_FROM_WHERE = (
    "CACHE_DIR CERT CLIENT_CERT CONFIG_FILE DEFAULT_TIMEOUT EXTRA_INDEX_URL FIND_LINKS INDEX_URL KEYRING_PROVIDER "
    "NO_CACHE_DIR NO_INDEX PROXY RETRIES TIMEOUT TRUSTED_HOST USE_DEPRECATED USE_FEATURE"
)
"""The settings of pip, as variables PIP_..., that say where packages come from; all others could install something else."""

_CAUSES = {
    "DO NOT MATCH THE HASHES": "A package differs from the one that {lock} pins. A proxy or an index that alters "
    "packages is the usual reason; find out why before you install it. Then",
    "No space left on device|Disk quota exceeded": "The disk is full. Make room (about 1 GB), then",
    "CERTIFICATE_VERIFY_FAILED": "pip does not trust the certificate of the package index. Behind a company's proxy, set "
    "PIP_CERT to the file of the company's root certificates, then",
    "Could not find a version|No matching distribution|ConnectionError|Could not fetch|timed out|Max retries": "The package "
    "index cannot be reached, or lacks a package of {lock}. Check the network, the proxy (HTTPS_PROXY) and the index "
    "(PIP_INDEX_URL), then",
    "PackageNotFoundError": "pip has installed into another place: its configuration (pip config list) sets target, prefix "
    "or root. Take that out, then",
    "ensurepip": "This Python cannot make virtual environments. On Debian and Ubuntu, `apt install python3-venv`, then",
}
"""What is printed by pip or venv, as a pattern, and what it means."""
IS_INTEL_MAC = sys.platform == "darwin" and platform.machine() == "x86_64"  # or an Intel Python on Apple silicon
_NO_WHEEL = (
    "Some packages have no wheels for Intel Macs any more (cryptography since version 49). With Apple silicon, take an "
    'arm64 Python. With Intel, take Linux: docker run -it --network host -v "$PWD:/app" -w /app python:3.12 bash. There'
)
_UNKNOWN_CAUSE = "The lines above say why. Repair that, then"


class InstallError(Exception):
    """The environment could not be made; the text says what happened."""


def is_ready(folder: Path, lock: Path) -> bool:
    """Return whether the folder holds what the lock names, for this Python, or for any Python if this one is too old."""
    try:
        made_of, python = (folder / ".ready").read_text().splitlines()
    except (OSError, ValueError):
        return False
    usable = sys.version_info < _OLDEST or python == _python()
    return usable and made_of == _digest(folder, lock) and os.access(str(folder / "bin" / "python"), os.X_OK)


def make(folder: Path, lock: Path) -> None:
    """Make the environment; raises InstallError. Of two that are started at once, one waits for the other."""
    if sys.platform == "win32":
        message = "macOS, Linux or WSL is needed. On Windows, do the same in WSL"
        raise InstallError(message)
    if folder.is_symlink():
        message = f"{folder} is a link, and what it leads to would be emptied. Remove the link, then"
        raise InstallError(message)
    with _alone(folder) as held:
        if is_ready(folder, lock):
            return
        (folder / ".ready").unlink(missing_ok=True)
        print(f"Installing the packages of {lock} into {folder} (once, about a minute) ...", flush=True)
        made_of = _digest(folder, lock)  # before it is read: it may change meanwhile
        run([sys.executable, "-m", "venv", "--clear", str(folder)], lock, held)
        install(folder / "bin" / "python", lock, held)
        (folder / ".ready").write_text(f"{made_of}\n{_python()}\n")


def install(python: Path, lock: Path, *held: int) -> None:
    """Install what the lock names into the environment of this interpreter, and check it; raises InstallError."""
    run([str(python), "-I", *_PIP_INSTALL, "--requirement", str(lock)], lock, *held)
    run([str(python), "-I", "-m", "pip", "check"], lock, *held)
    everywhere = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==[^;\n]*$", lock.read_text(), re.MULTILINE)  # not under a condition
    run([str(python), "-I", "-c", _ARE_THERE, *everywhere], lock, *held)


def _python() -> str:
    return "{}.{}".format(*sys.version_info)


def _digest(folder: Path, lock: Path) -> str:
    """Return what the environment is made of; its scripts name its folder, so that it is of no use once it was moved."""
    return hashlib.sha256(str(folder.absolute()).encode() + lock.read_bytes()).hexdigest()


@contextmanager
def _alone(folder: Path) -> "Iterator[int]":
    """Hold the lock of this environment; gives its file descriptor, with which a child process holds the lock too."""
    import fcntl  # noqa: PLC0415 - not on Windows, which gets as far as the check of what is ready

    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another installation into {folder} ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def run(command: "list[str]", lock: Path, *held: int) -> None:
    """Run a command of pip or venv and show every few seconds that it goes on; raises InstallError.

    It holds these file descriptors as long as it lives.
    """
    ours = {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
    kept = {f"PIP_{name}" for name in _FROM_WHERE.split()}
    environment = {name: value for name, value in os.environ.items() if name in kept or not name.startswith("PIP_")} | ours
    process = subprocess.Popen(  # noqa: S603 - our own words
        command, env=environment, pass_fds=held,
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
        began = shown = time.monotonic()
        while reader.is_alive() or not lines.empty():
            with suppress(Empty):
                printed.append(lines.get(timeout=1))
            now = time.monotonic()
            if now - shown > _QUIET:
                shown = now
                print(f"  {_progress(printed, lock)}, {now - began:.0f} s", flush=True)
    except BaseException:
        process.terminate()
        raise
    finally:
        process.wait()
        reader.join()
        output.close()
    if process.returncode:
        sys.stderr.write("".join(printed[-20:]))
        whole = "".join(printed)
        cause = next((cause for pattern, cause in _CAUSES.items() if re.search(pattern, whole)), _UNKNOWN_CAUSE)
        if IS_INTEL_MAC and "No matching distribution" in whole:
            cause = _NO_WHEEL
        raise InstallError(cause.format(lock=lock.name))


def _progress(printed: "list[str]", lock: Path) -> str:
    first_words = [line.split(" ", 1)[0] for line in printed]
    if "Installing" in first_words:
        return "unpacking"
    if "Collecting" in first_words:
        return f"{first_words.count('Collecting')} of {_count(lock) - first_words.count('Ignoring')} packages fetched"
    return "preparing"


def _count(lock: Path) -> int:
    return len(re.findall(r"^\S+==", lock.read_text(), re.MULTILINE))


def main() -> int:
    """Make the environment that the arguments name, unless it is ready, and return the exit status."""
    folder, lock, *again = sys.argv[1:]
    if is_ready(Path(folder), Path(lock)):
        return 0
    repeat = again[0] if again else "repeat the command"
    if sys.version_info < _OLDEST:
        message = "Python 3.11 or later is needed, and this is {}.{}. Name one: {} PYTHON=python3.12"
        without = re.sub(r" PYTHON=\S+", "", repeat)
        print(message.format(sys.version_info[0], sys.version_info[1], without), file=sys.stderr)
        return 1
    for signal_ in (signal.SIGINT, signal.SIGTERM):  # a shell may have started this process with Ctrl-C ignored
        signal.signal(signal_, signal.default_int_handler)
    try:
        make(Path(folder), Path(lock))
    except InstallError as error:
        print(f"{error}: {repeat}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error}. Repair that, then: {repeat}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Stopped. To start the installation anew: {repeat}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
