"""What ends up in the zip of the functions, on every way there, whatever lies about in the checkout."""

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.local_server import clean_environment, copied

CHALICE = str(Path(sys.executable).with_name("chalice"))
NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true"}  # else boto3 asks the network for credentials
LITTER = (
    "chalicelib/.env",
    "chalicelib/.DS_Store",
    "chalicelib/x.pyc",
    "chalicelib/.mypy_cache/3.11/cache.json",
    "chalicelib/__pycache__/x.pyc",
    "vendor/.git",
)
NOTES = "chalicelib/notes.txt"
MAKE, TERRAFORM = ("tools", "package", "prod"), ("tools", "package-terraform", "prod")
BARE, BARE_TERRAFORM = ("chalice", "bare"), ("chalice", "bare", "--pkg-format", "terraform")
WRITTEN = {MAKE: "dist/prod", TERRAFORM: "dist/prod-terraform", BARE: "bare", BARE_TERRAFORM: "bare"}


def built(checkout: Path, way: tuple[str, ...], umask: int = 0o022, **environment: str) -> Path:
    """Build the zip by `make package` or by Chalice's own command, as somebody with that umask, and return it."""
    command = [sys.executable, "-m", *way] if way[0] == "tools" else [CHALICE, "package", "--stage", "prod", *way[1:]]
    done = subprocess.run(
        command, cwd=checkout, env=clean_environment(**NOWHERE, **environment), umask=umask, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (checkout / "output.txt").write_text(done.stdout + done.stderr)
    return checkout / WRITTEN[way] / "deployment.zip"


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def with_git(checkout: Path) -> Path:
    """Make a repository of a checkout in which all is committed that is there."""
    nobody = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*nobody, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    return checkout


def littered(checkout: Path) -> Path:
    for name in LITTER:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("SECRET=1\n")
    return checkout


def permitted(checkout: Path, mode: int) -> Path:
    """Give all files of a checkout these permissions, and return it."""
    for path in checkout.rglob("*"):
        if path.is_file():
            path.chmod(mode)
    return checkout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(copied(tmp_path_factory.mktemp("clean") / "checkout"), MAKE)


class TestModes:
    def test_lambda_can_read_all_and_run_what_is_executable(self, clean: Path) -> None:
        with zipfile.ZipFile(clean) as archive:
            for entry in archive.infolist():
                executable = archive.read(entry).startswith((b"\x7fELF", b"#!"))
                wanted = stat.S_IFREG | (0o755 if executable else 0o644)
                assert entry.external_attr >> 16 == wanted, entry.filename

    @pytest.mark.parametrize(("umask", "way", "mode"), [
        (0o077, MAKE, 0o600), (0o002, MAKE, 0o664), (0o077, BARE, 0o600), (0o022, BARE, 0o777), (0o077, TERRAFORM, 0o600), (0o077, BARE_TERRAFORM, 0o600),
    ], ids=lambda value: oct(value) if isinstance(value, int) else " ".join(value))  # fmt: skip
    def test_umask_and_permissions_of_the_checkout_make_no_difference(
        self, clean: Path, tmp_path: Path, umask: int, way: tuple[str, ...], mode: int
    ) -> None:
        checkout = permitted(copied(tmp_path / "checkout"), mode)
        assert built(checkout, way, umask).read_bytes() == clean.read_bytes()


class TestContents:
    @pytest.mark.parametrize("way", [MAKE, BARE, TERRAFORM], ids=" ".join)
    @pytest.mark.parametrize("tracked", [True, False], ids=["git", "no git"])
    def test_what_lies_about_is_left_out_and_named(
        self, clean: Path, tmp_path: Path, way: tuple[str, ...], *, tracked: bool
    ) -> None:
        checkout = copied(tmp_path / "checkout")
        littered(with_git(checkout) if tracked else checkout)
        if tracked:
            (checkout / NOTES).write_text("mine\n")
        assert built(checkout, way).read_bytes() == clean.read_bytes()
        told = (checkout / "output.txt").read_text()
        left_out = [
            "chalicelib/.DS_Store",
            "chalicelib/.env",
            "chalicelib/.mypy_cache",
            *[NOTES] * tracked,
            "chalicelib/x.pyc",
            "vendor",
        ]
        assert told.count(f"Left out of the zip, hidden or not tracked by git: {', '.join(left_out)}\n") == 1

    def test_a_file_that_is_committed_is_shipped_wherever_it_lies(self, clean: Path, tmp_path: Path) -> None:
        checkout = copied(tmp_path / "checkout")
        for name in (NOTES, "vendor/package/module.py"):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_text("1\n")
        more = {NOTES, "package/module.py"}
        assert names(built(with_git(checkout), BARE)) == names(clean) | more
        assert names(built(checkout, MAKE)) == names(clean) | more

    def test_a_zip_of_the_same_contents_and_other_names_is_not_taken_up(self, tmp_path: Path) -> None:
        checkout = copied(tmp_path / "checkout")
        assert NOTES not in names(built(checkout, BARE))
        (checkout / NOTES).write_text("")
        assert NOTES in names(built(checkout, BARE))

    @pytest.mark.parametrize("command", [[sys.executable, "-m", *MAKE], [CHALICE, "package", "--stage", "prod", "dist/prod"]], ids=["make", "chalice"])  # fmt: skip
    def test_a_module_that_the_app_imports_and_nobody_has_added_is_named(self, tmp_path: Path, command: list[str]) -> None:
        checkout = with_git(copied(tmp_path / "checkout"))
        (checkout / "chalicelib" / "novelty.py").write_text("")
        with (checkout / "app.py").open("a") as app:
            app.write("import chalicelib.novelty\n")
        environment = clean_environment(**NOWHERE)
        done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
        expected = "The app imports files that are left out and would not start on AWS. Run: git add chalicelib/novelty.py\n"
        assert (done.returncode, done.stderr.splitlines(keepends=True)[-1]) == (1, expected)
        assert not (checkout / "dist").exists()

    def test_a_repository_that_git_does_not_read_is_named(self, tmp_path: Path) -> None:
        checkout = copied(tmp_path / "checkout")
        (checkout / ".git").write_text("gitdir: nowhere\n")
        command = [sys.executable, "-m", *MAKE]
        done = subprocess.run(command, cwd=checkout, env=clean_environment(), check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("git cannot list the files to ship: fatal:")

    def test_a_repository_above_the_project_that_git_does_not_read_is_named(self, tmp_path: Path) -> None:
        """As one of another user, in a container for instance."""
        checkout = copied(tmp_path / "several" / "checkout")
        with_git(checkout.parent)
        command, environment = [sys.executable, "-m", *MAKE], clean_environment(GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
        done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("git cannot list the files to ship: fatal: detected dubious ownership")


class TestMachines:
    @pytest.mark.parametrize("way", [MAKE, BARE], ids=" ".join)
    def test_no_wheel_of_the_machine_that_packages_is_asked_for(
        self, clean: Path, tmp_path: Path, way: tuple[str, ...]
    ) -> None:
        """Lock the wheels of Lambda's processor alone: pip refuses all others by their hashes."""
        checkout = copied(tmp_path / "checkout")
        lock = checkout / "requirements.txt"
        wheels = tmp_path / "wheels"
        platform = ["--platform", "manylinux2014_aarch64", "--only-binary=:all:"]
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *platform, "--dest", str(wheels)]
        subprocess.run([*fetch, "--requirement", str(lock)], check=True, capture_output=True)
        hashed = [sys.executable, "-m", "pip", "hash", *map(str, wheels.iterdir())]
        told = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout
        alone = {line.removeprefix("--hash=") for line in told.splitlines() if line.startswith("--hash=")}
        lines = lock.read_text().splitlines(keepends=True)
        kept = [line for line in lines if "--hash=" not in line or line.strip(" \\\n").removeprefix("--hash=") in alone]
        lock.write_text("".join(kept).replace(" \\\n    #", "\n    #"))
        assert len(kept) < len(lines)
        assert built(checkout, way).read_bytes() == clean.read_bytes()

    @pytest.mark.parametrize("way", [MAKE, BARE, TERRAFORM], ids=" ".join)
    def test_packaging_asks_no_profile_of_aws(self, clean: Path, tmp_path: Path, way: tuple[str, ...]) -> None:
        assert built(copied(tmp_path / "checkout"), way, AWS_PROFILE="nosuch").read_bytes() == clean.read_bytes()
        assert os.environ.get("AWS_PROFILE") is None

    @pytest.mark.parametrize("way", [MAKE, BARE], ids=" ".join)
    def test_packaging_reads_no_settings_of_aws(self, clean: Path, tmp_path: Path, way: tuple[str, ...]) -> None:
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / "config").write_text("not [an ini file")
        assert built(copied(tmp_path / "checkout"), way, HOME=str(tmp_path)).read_bytes() == clean.read_bytes()
