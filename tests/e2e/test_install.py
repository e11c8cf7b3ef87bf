"""tools/install.py: installs exactly the lock files; a failure prints what to do and leaves no incomplete environment."""

import hashlib
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.support.local_server import TIMEOUT, clean_environment
from tools import install
from tools.deploy import packaging

PIPS = {
    "23.2.1": "7ccf472345f20d35bdc9d1841ff5f313260c2c33fe417f48c30ac46cccabf5be",  # bundled with Python 3.11 and 3.12
    "24.3.1": "3790624780082365f47549d032f3770eeb2b1e8bd1f7b2e02dace1afa361b4ed",
    "26.3": "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13",
}
AGAIN = "make run"
MAKE = "make .venv PYTHON=" + sys.executable.replace(" ", r"\ ")
"""The command that failed, as make itself quotes it."""
TWO = {"one": "1.0", "two": "1.0"}


def pinned(lock: Path) -> dict[str, str]:
    """Return the locked version of each package for this Python and machine."""
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    pins = [Requirement(line.partition(" --hash")[0]) for line in lines if re.match(r"\S+==", line)]
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in pins if not pin.marker or pin.marker.evaluate()}


def wheel(folder: Path, name: str, version: str, needs: Iterable[str]) -> str:
    """Write a wheel that has only metadata, and return its hash."""
    stem = f"{re.sub('[-_.]+', '_', name)}-{version}"
    extras = sorted({extra for need in needs for extra in re.findall(r"extra == ['\"]([\w.-]+)", need)})
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {need}" for need in needs]
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return sha256(path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def packages(checkout: Path) -> dict[str, str]:
    """Return the installed packages without those of `python -m venv`."""
    versions = installed(checkout / ".venv" / "bin" / "python")
    return {name: version for name, version in versions.items() if name not in {"pip", "setuptools"}}


def index(folder: Path, *locks: str) -> Path:
    """Make a package index of fake wheels in which every package has a newer release, and lock files with their hashes.

    Each locked package has its real requirements; its newer release requires a package that does not exist. Only pip is real,
    because the installation uses it.
    """
    wheels = folder / "wheels"
    wheels.mkdir()
    lock = (ROOT / "requirements-dev.txt").read_text()
    pip = fetch(re.findall(r"^pip==[^#]*", lock, re.MULTILINE), wheels)
    hashes = {}
    for name, version in {name: version for lock in locks for name, version in pinned(ROOT / lock).items()}.items():
        needs = importlib.metadata.requires(name) or []
        hashes[name] = sha256(pip) if name == "pip" else wheel(wheels, name, version, needs)
        wheel(wheels, name, "9999.0", ["missing-package==1.0"])
    for lock in locks:
        pins = pinned(ROOT / lock).items()
        (folder / lock).write_text("".join(f"{name}=={version} --hash=sha256:{hashes[name]}\n" for name, version in pins))
    return wheels


def fetch(pip: Iterable[str], folder: Path) -> Path:
    """Download pip, given as lines of a requirements file with hashes, and return its wheel."""
    (folder / "pip.txt").write_text("\n".join(pip))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", "pip.txt"]
    subprocess.run(command, cwd=folder, check=True)
    (fetched,) = folder.glob("pip-*.whl")
    return fetched


def installed(python: Path) -> dict[str, str]:
    done = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
        check=True, capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip
    versions = dict(line.split("==") for line in done.stdout.splitlines())
    return {name.lower(): version for name, version in versions.items()}


@pytest.fixture(scope="module")
def newer_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an index of newer releases, and the lock files."""
    folder = tmp_path_factory.mktemp("newer index")
    index(folder, "requirements-dev.txt", "requirements.txt")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return the part of a checkout that an installation needs, with two locked packages and an index."""
    folder = tmp_path / "a folder with spaces"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "tools" / "install.py", folder / "tools")
    wheels = folder / "wheels"
    wheels.mkdir()
    lines = [f"{name}==1.0 --hash=sha256:{wheel(wheels, name, '1.0', [])}" for name in ("one", "two")]
    (folder / "requirements-dev.txt").write_text("\n".join(lines))
    return folder


def start(checkout: Path, **more: str) -> subprocess.Popen[str]:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (checkout / "wheels").as_uri()}
    environment = clean_environment(**offline | more)
    return subprocess.Popen(
        ["make", "--no-print-directory", ".venv", f"PYTHON={sys.executable}"],
        cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def make_venv(checkout: Path, **more: str) -> tuple[int, list[str]]:
    """Run `make .venv`; return its exit status and its output without the lines of make itself."""
    process = start(checkout, **more)
    lines = process.communicate(timeout=TIMEOUT)[0].splitlines()
    return process.returncode, [line for line in lines if not line.startswith("make: ")]


@pytest.mark.parametrize("version", PIPS)
def test_newer_releases_do_not_change_an_installation(
    newer_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    pip = fetch([f"pip=={version} --hash=sha256:{PIPS[version]}"], tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, pip / "pip", "install", "--quiet", "--no-index", pip], check=True, env=clean_environment())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", (newer_index / "wheels").as_uri())
    install.install(python, newer_index / "requirements-dev.txt")
    assert installed(python) == {
        name.lower(): version for name, version in pinned(newer_index / "requirements-dev.txt").items()
    }


def test_newer_releases_do_not_change_the_packages_for_lambda(
    newer_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", (newer_index / "wheels").as_uri())
    (tmp_path / ".chalice").mkdir()
    shutil.copy(ROOT / ".chalice" / "config.json", tmp_path / ".chalice")
    shutil.copy(newer_index / "requirements.txt", tmp_path)
    packaging._download(tmp_path, "prod", str(tmp_path / "wheels"))
    fetched = {
        path.name.split("-")[0].replace("_", "-"): path.name.split("-")[1] for path in (tmp_path / "wheels").iterdir()
    }
    assert fetched == pinned(ROOT / "requirements.txt")


def test_make_venv_installs_once(checkout: Path) -> None:
    status, lines = make_venv(checkout)
    assert (status, lines[0]) == (0, "Installing the packages of requirements-dev.txt into .venv (once, about a minute) ...")
    assert packages(checkout) == TWO
    assert make_venv(checkout) == (0, [])


def test_a_changed_lock_file_and_a_moved_folder_are_installed_again(checkout: Path) -> None:
    make_venv(checkout)
    lock = checkout / "requirements-dev.txt"
    lock.write_text(lock.read_text().splitlines()[0])
    assert make_venv(checkout)[1]
    assert packages(checkout) == {"one": "1.0"}
    moved = checkout.rename(checkout.with_name("moved"))
    assert make_venv(moved)[1]
    assert packages(moved) == {"one": "1.0"}


def test_two_concurrent_installations_install_once(checkout: Path) -> None:
    processes = [start(checkout) for _ in range(2)]
    printed = "".join(process.communicate(timeout=TIMEOUT)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert printed.count("Installing the packages") == 1
    assert printed.count("Waiting for another installation into .venv ...") == 1
    assert packages(checkout) == TWO


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_the_next_installation_completes_an_interrupted_one(checkout: Path, signal_number: int) -> None:
    process = start(checkout)
    end = time.monotonic() + TIMEOUT
    while not (checkout / ".venv" / "bin" / "python").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal_number)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode != 0
    assert not (checkout / ".venv" / ".ready").exists()
    assert make_venv(checkout)[0] == 0
    assert packages(checkout) == TWO


def test_a_wrong_hash_is_rejected_and_the_right_one_is_installed(checkout: Path) -> None:
    (path,) = (checkout / "wheels").glob("two-*")
    right = path.read_bytes()
    wheel(checkout / "wheels", "two", "1.0", ["one"])
    status, lines = make_venv(checkout)
    assert status != 0
    assert lines[-1].startswith("A package differs from the one that requirements-dev.txt pins.")
    assert lines[-1].endswith(f"Then: {MAKE}")
    assert not (checkout / ".venv" / ".ready").exists()
    path.write_bytes(right)
    assert make_venv(checkout)[0] == 0


def test_without_a_network_the_last_line_names_the_package_index(checkout: Path) -> None:
    no_index = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}
    status, lines = make_venv(checkout, **no_index)
    assert status != 0
    assert lines[-1].startswith("The package index cannot be reached, or lacks a package of requirements-dev.txt.")
    assert not (checkout / ".venv" / ".ready").exists()


@pytest.mark.parametrize(("output", "message"), [
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "The disk is full."),
    ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "pip does not trust the certificate of the package index."),
    ("one 1.0 requires three, which is not installed.", "The lines above say why."),
])  # fmt: skip
def test_an_error_of_pip_is_printed_and_explained(
    checkout: Path, capfd: pytest.CaptureFixture[str], output: str, message: str
) -> None:
    python = checkout / "python"
    python.write_text(f'#!/bin/sh\necho "{output}"\nexit 1\n')
    python.chmod(0o755)
    with pytest.raises(install.InstallError, match=f"^{re.escape(message)}"):
        install.install(python, checkout / "requirements-dev.txt")
    assert output in capfd.readouterr().err


@pytest.mark.parametrize(("is_intel_mac", "message"), [(True, "Some packages have no wheels"), (False, "The package index cannot be reached")])  # fmt: skip
def test_a_missing_wheel_on_an_intel_mac_is_explained(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, *, is_intel_mac: bool, message: str
) -> None:
    monkeypatch.setattr(install, "IS_INTEL_MAC", is_intel_mac)
    python = checkout / "python"
    python.write_text('#!/bin/sh\necho "ERROR: No matching distribution found for cryptography==50.0.2"\nexit 1\n')
    python.chmod(0o755)
    with pytest.raises(install.InstallError, match=f"^{message}"):
        install.install(python, checkout / "requirements-dev.txt")


def test_variables_of_pip_do_not_change_the_target(checkout: Path, tmp_path: Path) -> None:
    other_target = str(tmp_path / "other_target")
    settings = dict.fromkeys(
        ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_EDITABLE", "PIP_CONSTRAINT", "PYTHONPATH"), other_target
    )
    assert make_venv(checkout, PIP_USER="1", **settings)[0] == 0
    assert packages(checkout) == TWO


def test_a_pip_conf_with_another_target_is_reported(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(f"[install]\ntarget = {tmp_path / 'other_target'}\n")
    status, lines = make_venv(checkout, PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert status != 0
    assert lines[-1].startswith("pip installed into another folder")
    assert not (checkout / ".venv" / ".ready").exists()


def test_a_symbolic_link_is_not_emptied(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (checkout / ".venv").symlink_to(tmp_path / "kept")
    status, lines = make_venv(checkout)
    assert status != 0
    expected = f"Remove the link, then: {MAKE}"
    assert lines == [f".venv is a symbolic link, and its target would be emptied. {expected}"]
    assert (tmp_path / "kept" / "file").exists()


@pytest.fixture
def old_python(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let install.main() believe that it runs in Python 3.9, in the folder of the checkout."""
    monkeypatch.chdir(checkout)
    monkeypatch.setattr("sys.version_info", (3, 9, 6))
    monkeypatch.setattr("sys.argv", ["install.py", ".venv", "requirements-dev.txt", AGAIN])


@pytest.mark.usefixtures("old_python")
def test_an_old_python_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main() == 1
    line = "Python 3.11 or later is required; this is 3.9. Choose another one: make run PYTHON=python3.12\n"
    assert capsys.readouterr().err == line


@pytest.mark.usefixtures("old_python")
def test_an_old_python_may_use_an_environment_that_is_ready(checkout: Path) -> None:
    make_venv(checkout)
    assert install.main() == 0
