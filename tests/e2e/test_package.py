"""`make package`: what a platform team is handed."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from chalicelib.config import Settings
from tests.conftest import ROOT
from tests.support.aws import Checkout
from tests.support.local_server import clean_environment
from tests.unit.test_deployment import OPEN
from tools.deploy import packaging

LINTERS = ROOT / ".venv" / "lint" / "bin"
NAMED_SKIPS = {f"CKV_AWS_{number}" for number in (115, 116, 117, 119, 120, 158, 173)}


class NoAws:
    """A checkout that nobody is signed in for."""

    environment = clean_environment()


def built(folder: Path, architecture: str = "arm64") -> Path:
    checkout = Checkout(folder, NoAws(), "prod")  # type: ignore[arg-type]
    checkout.change(lambda config: config | {"lambda_architecture": architecture})
    checkout.local("package")
    return checkout.folder / "dist" / "prod"


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def template(prod: Path) -> Any:
    return json.loads((prod / "template.json").read_text())


@pytest.fixture(scope="module")
def expanded(prod: Path, template: Any) -> Path:
    """Return what CloudFormation makes of it: SAM's own translator does that here as there."""
    path = prod.parent / "expanded.json"
    path.write_text(json.dumps(translated(template)))
    return path


def translated(template: Any) -> Any:
    copy = json.loads(json.dumps(template))
    for resource in copy["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/deployment.zip"
    values = {name: parameter.get("Default") for name, parameter in copy.get("Parameters", {}).items()}
    no_managed_policies: dict[str, str] = {}
    return Translator(no_managed_policies, Parser(), boto_session=boto3.Session(region_name="eu-central-1")).translate(
        copy, values
    )


def run(tool: str, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    if not (LINTERS / tool).exists():
        pytest.skip(f"{tool} is not there; `make check` installs it")
    # By Python: the first line of checkov cannot name an interpreter whose path has a space.
    command = [str(LINTERS / "python"), str(LINTERS / tool), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, check=False, text=True, cwd=cwd, env=clean_environment(), timeout=1200
    )


class TestTheTemplate:
    def test_cfn_lint_finds_nothing_in_the_templates(self, prod: Path, expanded: Path) -> None:
        for path in (prod / "template.json", prod / "import.json", expanded, ROOT / ".chalice" / "resources.json"):
            done = run("cfn-lint", "-t", path)
            assert (done.returncode, done.stdout) == (0, "")

    def test_checkov_finds_nothing_but_the_named_skips(self, prod: Path, expanded: Path) -> None:
        for path in (prod / "template.json", expanded):
            # From its folder: checkov puts the path into what it reads, and takes one of the right length for a secret.
            done = run(
                "checkov", "-f", path.name, "--framework", "cloudformation", "--skip-download", "-o", "json", cwd=path.parent
            )
            report = json.loads(done.stdout)["results"]
            assert len(report["passed_checks"]) > 25
            skipped = {check["check_id"] for check in report["skipped_checks"]}
            failed = {(check["check_id"], check["resource"]) for check in report["failed_checks"]}
            # Named on the API, of which SAM makes this stage without the name.
            assert failed <= {("CKV_AWS_120", "AWS::ApiGateway::Stage.RestAPIprodStage")}
            assert skipped | {check for check, _ in failed} == NAMED_SKIPS

    def test_every_skipped_check_of_checkov_has_a_reason(self, template: Any) -> None:
        skips = [
            skip
            for resource in template["Resources"].values()
            for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
        ]
        assert {skip["id"] for skip in skips} == NAMED_SKIPS
        assert all(len(skip["comment"]) > 20 for skip in skips)

    def test_no_route_is_open_that_should_not_be(self, template: Any) -> None:
        paths = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
        unguarded = {
            (path, method)
            for path, methods in paths.items()
            for method, operation in methods.items()
            if method != "options" and not operation.get("security")
        }
        assert unguarded == OPEN

    def test_each_setting_reaches_the_functions(self, template: Any) -> None:
        for function in ("APIHandler", "UserAuthorizer"):
            variables = template["Resources"][function]["Properties"]["Environment"]["Variables"]
            assert variables.keys() == {name.upper() for name in Settings.__struct_fields__}
            assert variables["TABLE_NAME"] == {"Ref": "Table"}

    def test_there_is_one_stage_and_one_role_for_each_function(self, expanded: Path) -> None:
        resources = json.loads(expanded.read_text())["Resources"]
        kinds = [resource["Type"] for resource in resources.values() if "Condition" not in resource]
        assert [kinds.count(f"AWS::{kind}") for kind in ("ApiGateway::Stage", "Lambda::Function", "IAM::Role")] == [1, 2, 2]

    def test_parameters_that_cost_money_at_rest_are_off_by_default(self, template: Any) -> None:
        off = {
            name: template["Parameters"][name]["Default"] for name in ("KmsKeyArn", "ReservedConcurrency", "AlarmTopicArn")
        }
        assert set(off.values()) == {""}
        assert template["Parameters"]["Dashboard"]["Default"] == "false"

    def test_only_tls_of_today_is_spoken(self, template: Any) -> None:
        assert template["Resources"]["RestAPI"]["Properties"]["SecurityPolicy"] == "SecurityPolicy_TLS13_1_2_2021_06"


class TestTheZip:
    def test_packaging_the_same_commit_twice_gives_the_same_bytes(self, prod: Path, tmp_path: Path) -> None:
        again = built(tmp_path)
        for name in ("deployment.zip", "template.json", "import.json", "MANIFEST.md"):
            assert (again / name).read_bytes() == (prod / name).read_bytes(), name

    def test_the_zip_for_another_processor_differs_in_native_files_alone(self, prod: Path, tmp_path: Path) -> None:
        there = contents(built(tmp_path, "x86_64") / "deployment.zip")
        here = contents(prod / "deployment.zip")
        native = {name for name in here.keys() ^ there.keys() if ".so" not in name}
        assert native == set()
        changed = {name for name in here.keys() & there.keys() if here[name] != there[name]}
        assert all(name.endswith(".so") or ".dist-info/" in name for name in changed)
        assert any("aarch64" in name for name in here)
        assert not any("x86_64" in name for name in here)

    def test_a_wheel_for_another_processor_must_have_one_of_the_hashes_too(self, tmp_path: Path) -> None:
        checkout = Checkout(tmp_path, NoAws(), "prod")  # type: ignore[arg-type]
        checkout.change(lambda config: config | {"lambda_architecture": "arm64"})
        locked = checkout.folder / "requirements.txt"
        (pin,) = re.findall("^msgspec==[0-9.]+", locked.read_text(), re.MULTILINE)
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path / "native"), pin]
        subprocess.run(fetch, check=True, capture_output=True)
        (wheel,) = (tmp_path / "native").iterdir()
        native = hashlib.sha256(wheel.read_bytes()).hexdigest()
        alone = re.sub(
            rf"^{pin}( \\\n    --hash=\S+)+", f"{pin} --hash=sha256:{native}", locked.read_text(), flags=re.MULTILINE
        )
        assert alone != locked.read_text()
        locked.write_text(alone)
        done = checkout.local("package", check=False)
        assert "DO NOT MATCH THE HASHES" in done.stderr
        assert done.returncode != 0
        assert not (checkout.folder / "dist").exists()

    def test_the_zip_holds_what_lambda_needs_and_nothing_else(self, prod: Path) -> None:
        names = contents(prod / "deployment.zip").keys()
        tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
        assert tops == {
            "app.py", "chalicelib", "chalice", "cffi", f"_cffi_backend.cpython-3{sys.version_info.minor}-aarch64-linux-gnu.so", "cryptography", "jwt",
            "msgspec", "phonenumbers", "pycparser",
        } | {name for name in tops if name == "requirements.txt"}  # fmt: skip
        assert not [name for name in names if "__pycache__" in name or name.startswith(("tools", "tests"))]

    def test_the_manifest_tells_its_hashes_and_its_powers(self, prod: Path) -> None:
        manifest = (prod / "MANIFEST.md").read_text()
        for name in ("deployment.zip", "template.json"):
            assert hashlib.sha256((prod / name).read_bytes()).hexdigest() in manifest
        assert "Publish to phone numbers, not to `arn:*:sns:*:*:*`" in manifest
        assert "| SMS_PARTS_PER_DAY | 1000 |" in manifest


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what Chalice makes of an app of one route, with its own way of keeping logs."""
    out = tmp_path_factory.mktemp("plain")
    with packaging.copy_shipped("prod", log_retention_in_days=7) as copy:
        shutil.rmtree(copy / "chalicelib")
        (copy / "requirements.txt").write_text("")
        (copy / "app.py").write_text("from chalice import Chalice\n\napp = Chalice('x')\napp.route('/')(print)\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            packaging.run_chalice(copy, "package", "prod", str(out))
    return json.loads((out / "sam.json").read_text())


class TestChalicesOwnTemplate:
    """What is repaired here; the day one of these turns red, the repair can go."""

    def test_the_log_group_still_names_a_resource_that_is_not_there(self, plain: Any) -> None:
        named = json.dumps(plain["Resources"]["ApiHandlerLogGroup"]["Properties"]["LogGroupName"])
        assert "${ApiHandler}" in named, (
            "aws/chalice#2079 is mended: log_retention_in_days could take the place of our log groups"
        )
        assert "ApiHandler" not in plain["Resources"]

    def test_sam_still_adds_a_second_stage(self, plain: Any) -> None:
        del plain["Resources"]["ApiHandlerLogGroup"]
        assert made_by_its_deployment(translated(plain)) == ["Stage"], "aws/chalice#1655 is mended: OpenApiVersion can go"

    def test_our_template_adds_no_second_stage(self, expanded: Path) -> None:
        assert made_by_its_deployment(json.loads(expanded.read_text())) == [None]


def made_by_its_deployment(template: Any) -> list[str | None]:
    """Return the stage that each deployment makes besides the one that is asked for."""
    resources = template["Resources"].values()
    return [one["Properties"].get("StageName") for one in resources if one["Type"] == "AWS::ApiGateway::Deployment"]
