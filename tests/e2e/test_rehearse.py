"""`make rehearse`: the printed commands work, and nothing is left when it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.local_server import TIMEOUT, clean_environment, copy_checkout, lengthen_timeouts, wait_for
from tests.support.terraform import plugin_folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout of a stage that is deployed and uses what only AWS has."""
    checkout = lengthen_timeouts(copy_checkout(tmp_path_factory.mktemp("rehearse") / "checkout"))
    config = json.loads((checkout / ".chalice" / "config.json").read_text())
    prod = config["stages"]["prod"]
    prod["parameters"]["WebAclArn"] = "arn:aws:wafv2:us-east-1:000000000000:regional/webacl/web/1"
    config["api_gateway_custom_domain"] = {
        "domain_name": "api.example.com",
        "certificate_arn": "arn:aws:acm:::certificate/1",
    }
    (checkout / ".chalice" / "config.json").write_text(json.dumps(config))
    (checkout / ".chalice" / "deployed").mkdir(exist_ok=True)
    (checkout / ".chalice" / "deployed" / "prod.json").write_text('{"resources": [], "schema_version": "2.0"}')
    return checkout


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Yield variables with a TMPDIR of its own, whose path is short: the sockets of Terraform's providers are in it."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "files").mkdir()
        yield clean_environment(TMPDIR=f"{folder}/files", NO_PROXY="127.0.0.1", PYTHONDONTWRITEBYTECODE="1")


@contextmanager
def rehearse(
    checkout: Path, environment: dict[str, str], until: str, number: signal.Signals, *options: str
) -> Iterator[str]:
    """Run it until it prints this text, provide its output, end it by a signal, and check that nothing is left."""
    folder, files = Path(environment["TMPDIR"]), list_files(checkout)
    output = folder.with_name("output.txt")
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools", "rehearse", "prod", *options],
            cwd=checkout, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: until in output.read_text(), output, process)
        assert len(processes_with(folder)) > 1
        assert list(folder.iterdir())
        yield output.read_text()
    finally:
        process.send_signal(number)
        process.wait(TIMEOUT)
    assert process.returncode == 0
    assert output.read_text().endswith("Taking everything away ...\n")
    assert processes_with(folder) == []
    assert list(folder.iterdir()) == []
    assert list_files(checkout) == files


def list_files(checkout: Path) -> dict[Path, bytes]:
    """Return the files of a checkout with their contents."""
    return {path: path.read_bytes() for path in checkout.rglob("*") if "__pycache__" not in path.parts and path.is_file()}


def processes_with(folder: Path) -> list[str]:
    """Return the ids of the processes whose environment names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it has ended, or belongs to somebody else
            continue
        if os.fsencode(folder) in environment:
            found.append(process.name)
    return found


@pytest.mark.parametrize("way", ["chalice", "cloudformation", "terraform"])
def test_the_printed_commands_work(checkout: Path, environment: dict[str, str], way: str) -> None:
    if way == "terraform":
        environment |= {"TF_CLI_ARGS_init": f"-plugin-dir={plugin_folder()}", "TF_CLI_CONFIG_FILE": os.devnull}
    with rehearse(checkout, environment, "docs/proof.md", signal.SIGINT, "--way", way) as output:
        printed = re.findall(r"^  (\S.*)$", output.partition("in this folder:\n")[2], re.MULTILINE)
        done = subprocess.run(
            ["bash", "-e"], input="\necho\n".join(printed), cwd=checkout, env=environment, check=False,
            capture_output=True, text=True, timeout=TIMEOUT,
        )  # fmt: skip
    assert "Left out, because only AWS has what they name: ApiCertificateArn, ApiDomain, WebAclArn." in output
    assert (done.returncode, done.stderr) == (0, "")
    statuses = re.findall(r"^HTTP/1.1 (\d+)", done.stdout, re.MULTILINE)
    requests = [line.partition("$API")[2].split()[0] for line in printed if line.startswith("curl ")]
    assert list(zip(requests, statuses, strict=True)) == [
        ("/health", "200"),
        ("/tasks", "201"),
        ("/tasks", "200"),
        ("/hello", "200"),
        ("/nowhere", "404"),
        ("/sms", "202"),
    ]
    assert "urn:problem:not-found" in done.stdout
    assert done.stdout.endswith("+12025550100  Hello\n")


@pytest.mark.parametrize(
    ("way", "until"),
    [("cloudformation", "docs/proof.md"), ("chalice", "Creating deployment package"), ("terraform", "Creating...")],
)
def test_nothing_is_left_after_sigterm(checkout: Path, environment: dict[str, str], way: str, until: str) -> None:
    if way == "terraform":
        environment |= {"TF_CLI_ARGS_init": f"-plugin-dir={plugin_folder()}", "TF_CLI_CONFIG_FILE": os.devnull}
        environment |= {"TF_DATA_DIR": str(checkout), "TF_VAR_web_origin": "not an origin"}  # which have no effect
    with rehearse(checkout, environment, until, signal.SIGTERM, "--way", way):
        pass


def test_terraform_that_is_missing_is_an_error(checkout: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools", "rehearse", "prod", "--way", "terraform"],
        cwd=checkout, env=environment | {"PATH": "/nowhere"}, check=False, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "terraform is missing. Install Terraform 1.5 or later, or rehearse without WAY=terraform.\n"


def test_a_way_that_does_not_exist_is_an_error(checkout: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools", "rehearse", "prod", "--way", "sam"],
        cwd=checkout, env=environment, check=False, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sam is no way to deploy. Use one of chalice, cloudformation, terraform: ")


def test_a_stage_that_does_not_exist_is_an_error(checkout: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools", "rehearse", "nosuch"],
        cwd=checkout, env=environment, check=False, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nosuch is not a stage on AWS. Use one of ")
