"""The zip of the functions has the same contents from every command, whatever else is in the checkout."""

import importlib.util
import json
import marshal
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from chalicelib import __version__
from tests.support.local_server import clean_environment, copy_checkout
from tools import stages

CHALICE = str(Path(sys.executable).with_name("chalice"))
NO_METADATA = {"AWS_EC2_METADATA_DISABLED": "true"}  # otherwise boto3 looks for credentials on the network
UNSHIPPED = (
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
OUTPUT = {MAKE: "dist/prod", TERRAFORM: "dist/prod-terraform", BARE: "bare", BARE_TERRAFORM: "bare"}


def build(checkout: Path, command: tuple[str, ...], umask: int = 0o022, **environment: str) -> Path:
    """Build the zip with a command and this umask, and return its path."""
    is_ours = command[0] == "tools"
    arguments = [sys.executable, "-m", *command] if is_ours else [CHALICE, "package", "--stage", "prod", *command[1:]]
    done = subprocess.run(
        arguments, cwd=checkout, env=clean_environment(**NO_METADATA, **environment), umask=umask, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (checkout / "output.txt").write_text(done.stdout + done.stderr)
    return checkout / OUTPUT[command] / "deployment.zip"


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def with_git(checkout: Path) -> Path:
    """Make a checkout a git repository with everything committed."""
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    return checkout


def with_unshipped_files(checkout: Path) -> Path:
    for name in UNSHIPPED:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("SECRET=1\n")
    return checkout


def with_mode(checkout: Path, mode: int) -> Path:
    """Set the permissions of all files in a checkout, and return it."""
    for path in checkout.rglob("*"):
        if path.is_file():
            path.chmod(mode)
    return checkout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(copy_checkout(tmp_path_factory.mktemp("clean") / "checkout"), MAKE)


class TestPermissions:
    def test_lambda_can_read_every_file_and_run_executables(self, clean: Path) -> None:
        with zipfile.ZipFile(clean) as archive:
            for entry in archive.infolist():
                executable = archive.read(entry).startswith((b"\x7fELF", b"#!"))
                wanted = stat.S_IFREG | (0o755 if executable else 0o644)
                assert entry.external_attr >> 16 == wanted, entry.filename

    @pytest.mark.parametrize(("umask", "command", "mode"), [
        (0o077, MAKE, 0o600), (0o002, MAKE, 0o664), (0o077, BARE, 0o600), (0o022, BARE, 0o777), (0o077, TERRAFORM, 0o600), (0o077, BARE_TERRAFORM, 0o600),
    ], ids=lambda value: oct(value) if isinstance(value, int) else " ".join(value))  # fmt: skip
    def test_umask_and_permissions_of_the_checkout_do_not_change_the_zip(
        self, clean: Path, tmp_path: Path, umask: int, command: tuple[str, ...], mode: int
    ) -> None:
        checkout = with_mode(copy_checkout(tmp_path / "checkout"), mode)
        assert build(checkout, command, umask).read_bytes() == clean.read_bytes()


class TestContents:
    @pytest.mark.parametrize("command", [MAKE, BARE, TERRAFORM], ids=" ".join)
    @pytest.mark.parametrize("tracked", [True, False], ids=["git", "no git"])
    def test_hidden_and_untracked_files_are_left_out_and_named(
        self, clean: Path, tmp_path: Path, command: tuple[str, ...], *, tracked: bool
    ) -> None:
        checkout = copy_checkout(tmp_path / "checkout")
        with_unshipped_files(with_git(checkout) if tracked else checkout)
        if tracked:
            (checkout / NOTES).write_text("mine\n")
        assert build(checkout, command).read_bytes() == clean.read_bytes()
        output = (checkout / "output.txt").read_text()
        left_out = [
            "chalicelib/.DS_Store",
            "chalicelib/.env",
            "chalicelib/.mypy_cache",
            *[NOTES] * tracked,
            "chalicelib/x.pyc",
            "vendor",
        ]
        assert output.count(f"Left out of the zip, hidden or not tracked by git: {', '.join(left_out)}\n") == 1

    def test_a_committed_file_in_chalicelib_or_vendor_is_shipped(self, clean: Path, tmp_path: Path) -> None:
        checkout = copy_checkout(tmp_path / "checkout")
        for name in (NOTES, "vendor/package/module.py"):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_text("1\n")
        more = {NOTES, "package/module.py", f"package/__pycache__/module.{sys.implementation.cache_tag}.pyc"}
        assert names(build(with_git(checkout), BARE)) == names(clean) | more
        assert names(build(checkout, MAKE)) == names(clean) | more

    def test_an_added_empty_file_is_shipped_although_no_contents_change(self, tmp_path: Path) -> None:
        checkout = copy_checkout(tmp_path / "checkout")
        assert NOTES not in names(build(checkout, BARE))
        (checkout / NOTES).write_text("")
        assert NOTES in names(build(checkout, BARE))

    @pytest.mark.parametrize("command", [[sys.executable, "-m", *MAKE], [CHALICE, "package", "--stage", "prod", "dist/prod"]], ids=["make", "chalice"])  # fmt: skip
    def test_an_imported_module_that_is_not_tracked_by_git_is_named(self, tmp_path: Path, command: list[str]) -> None:
        checkout = with_git(copy_checkout(tmp_path / "checkout"))
        (checkout / "chalicelib" / "untracked.py").write_text("")
        with (checkout / "app.py").open("a") as app:
            app.write("import chalicelib.untracked\n")
        environment = clean_environment(**NO_METADATA)
        done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
        expected = (
            "The app imports files that are left out and would not start on AWS. Run: git add chalicelib/untracked.py\n"
        )
        assert (done.returncode, done.stderr.splitlines(keepends=True)[-1]) == (1, expected)
        assert not (checkout / "dist").exists()

    def test_a_broken_git_repository_is_reported(self, tmp_path: Path) -> None:
        checkout = copy_checkout(tmp_path / "checkout")
        (checkout / ".git").write_text("gitdir: nowhere\n")
        command = [sys.executable, "-m", *MAKE]
        done = subprocess.run(command, cwd=checkout, env=clean_environment(), check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("git cannot list the files to ship: fatal:")

    def test_a_repository_of_another_user_above_the_project_is_reported(self, tmp_path: Path) -> None:
        checkout = copy_checkout(tmp_path / "several" / "checkout")
        with_git(checkout.parent)
        command, environment = [sys.executable, "-m", *MAKE], clean_environment(GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
        done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("git cannot list the files to ship: fatal: detected dubious ownership")


USE_EVERYTHING = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import app, botocore.session, chalicelib, jwt, phonenumbers
from chalicelib import aws
from cryptography.hazmat.primitives.asymmetric import rsa

for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
    importlib.import_module(module.name)
for service in ("cognito-idp", "dynamodb", "sns"):
    aws.client(service, region_name="eu-central-1")
    botocore.session.get_session().create_client(service)  # with all of its data, as with another botocore
key = rsa.generate_private_key(65537, 2048)
jwt.decode(jwt.encode({}, key, "RS256"), key.public_key(), ["RS256"])
phonenumbers.region_code_for_number(phonenumbers.parse("+12025550100"))
print("release", chalicelib.__version__)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of a zip for x86-64, where these tests run; their date is that in the zip, 1980."""
    checkout = copy_checkout(tmp_path_factory.mktemp("native") / "checkout")
    config = checkout / ".chalice" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lambda_architecture": "x86_64"}))
    folder = checkout.parent / "task"
    with zipfile.ZipFile(build(checkout, MAKE)) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            os.utime(archive.extract(entry, folder), (315532800, 315532800))
    return folder


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Use every package of an unpacked zip in a Python that has only these, and writes no bytecode, as in Lambda."""
    settings = stages.environment_variables("prod") | stages.placeholder_settings() | {"AWS_DEFAULT_REGION": "eu-central-1"}
    command = [sys.executable, "-I", "-S", "-B", "-v", "-c", USE_EVERYTHING, str(folder)]
    return subprocess.run(command, env=clean_environment(**settings), check=False, capture_output=True, text=True)


class TestBytecode:
    @pytest.mark.parametrize("command", [MAKE, BARE], ids=" ".join)
    def test_every_module_has_the_bytecode_of_its_source(self, tmp_path: Path, command: tuple[str, ...]) -> None:
        checkout = copy_checkout(tmp_path / "checkout")
        # Both would change where bytecode is written, or what it is.
        path = build(checkout, command, PYTHONPYCACHEPREFIX=str(tmp_path / "cache"), PYTHONOPTIMIZE="1")
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        modules = [Path(name) for name in files if name.endswith(".py")]
        assert len(modules) > 500
        for module in modules:
            bytecode = files.pop(f"{module.parent / '__pycache__' / module.stem}.{sys.implementation.cache_tag}.pyc")
            magic, flags, digest = bytecode[:4], int.from_bytes(bytecode[4:8], "little"), bytecode[8:16]
            assert magic == importlib.util.MAGIC_NUMBER, module
            assert flags == 0b11, "not checked by a hash"
            assert digest == importlib.util.source_hash(files[str(module)]), module
            assert marshal.loads(bytecode[16:]).co_filename == f"/var/task/{module}"  # noqa: S302 - ours
        assert not [name for name in files if name.endswith(".pyc")]

    def test_the_stages_python_compiles_nothing_and_needs_no_other_package(self, unpacked: Path) -> None:
        done = run(unpacked)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(f".pyc matches {unpacked}/") > 250
        assert not re.findall(rf"^# code object from {unpacked}/.*\.py$", done.stderr, re.MULTILINE)

    def test_bytecode_of_another_source_is_not_run(self, unpacked: Path) -> None:
        module = unpacked / "chalicelib" / "__init__.py"
        source, moment = module.read_text(), module.stat().st_mtime
        changed = source.replace(__version__, "x" * len(__version__))
        assert changed != source
        try:
            module.write_text(changed)
            os.utime(module, (moment, moment))  # as the date and the size are the same, only the hash differs
            assert run(unpacked).stdout == f"release {'x' * len(__version__)}\n"
        finally:
            module.write_text(source)
            os.utime(module, (moment, moment))
        assert run(unpacked).stdout == f"release {__version__}\n"

    def test_bytecode_does_not_depend_on_hash_seed_and_folder(self, clean: Path, tmp_path: Path) -> None:
        checkout = copy_checkout(tmp_path / "another folder")
        assert build(checkout, BARE, PYTHONHASHSEED="1").read_bytes() == clean.read_bytes()

    def test_a_file_with_a_syntax_error_is_named_and_shipped(self, tmp_path: Path) -> None:
        checkout = copy_checkout(tmp_path / "checkout")
        (checkout / "vendor" / "old").mkdir(parents=True)
        (checkout / "vendor" / "old" / "template.py").write_text("print 1\n")
        shipped = names(build(checkout, MAKE))
        assert "old/template.py" in shipped
        output = (checkout / "output.txt").read_text()
        assert "Shipped without bytecode, because they have syntax errors: old/template.py\n" in output


class TestEnvironment:
    @pytest.mark.parametrize("command", [MAKE, BARE], ids=" ".join)
    def test_packaging_needs_no_wheel_of_this_machine(self, clean: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
        """Lock only the wheels of Lambda's architecture, so that pip rejects all others by their hashes."""
        checkout = copy_checkout(tmp_path / "checkout")
        lock = checkout / "requirements.txt"
        wheels = tmp_path / "wheels"
        platform = ["--platform", "manylinux2014_aarch64", "--only-binary=:all:"]
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *platform, "--dest", str(wheels)]
        subprocess.run([*fetch, "--requirement", str(lock)], check=True, capture_output=True)
        hashed = [sys.executable, "-m", "pip", "hash", *map(str, wheels.iterdir())]
        output = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout
        hashes = {line.removeprefix("--hash=") for line in output.splitlines() if line.startswith("--hash=")}
        lines = lock.read_text().splitlines(keepends=True)
        kept = [line for line in lines if "--hash=" not in line or line.strip(" \\\n").removeprefix("--hash=") in hashes]
        lock.write_text("".join(kept).replace(" \\\n    #", "\n    #"))
        assert len(kept) < len(lines)
        assert build(checkout, command).read_bytes() == clean.read_bytes()

    @pytest.mark.parametrize("command", [MAKE, BARE, TERRAFORM], ids=" ".join)
    def test_packaging_does_not_use_aws_profile(self, clean: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
        assert build(copy_checkout(tmp_path / "checkout"), command, AWS_PROFILE="nosuch").read_bytes() == clean.read_bytes()

    @pytest.mark.parametrize("command", [MAKE, BARE], ids=" ".join)
    def test_packaging_does_not_read_the_aws_config_file(
        self, clean: Path, tmp_path: Path, command: tuple[str, ...]
    ) -> None:
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / "config").write_text("not [an ini file")
        assert build(copy_checkout(tmp_path / "checkout"), command, HOME=str(tmp_path)).read_bytes() == clean.read_bytes()
