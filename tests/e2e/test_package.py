"""`make package`: the template, the zip and the manifest for a platform team."""

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
from jsonschema import Draft7Validator
from referencing import Registry
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from chalicelib.config import Settings
from tests.conftest import ROOT
from tests.support.emulator import Checkout
from tests.support.local_server import clean_environment
from tests.unit.test_deployment import OPEN
from tools.deploy import packaging
from tools.deploy.terraform import snake
from tools.functions import declarations
from tools.stages import template_parameters

LINTERS = ROOT / ".venv" / "lint" / "bin"
NAMED_SKIPS = {f"CKV_AWS_{number}" for number in (18, 21, 68, 86, 115, 116, 117, 119, 120, 158, 173, 174)}


class NoCredentials:
    """Stands in for an Emulator: an environment without credentials."""

    environment = clean_environment()


def build(folder: Path, architecture: str = "arm64") -> Path:
    checkout = Checkout(folder, NoCredentials(), "prod")  # type: ignore[arg-type]
    checkout.change_config(lambda config: config | {"lambda_architecture": architecture})
    checkout.tools("package")
    return checkout.folder / "dist" / "prod"


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def template(prod: Path) -> Any:
    return json.loads((prod / "template.json").read_text())


@pytest.fixture(scope="module")
def expanded(prod: Path, template: Any) -> Path:
    """Return the template expanded by SAM's translator, which CloudFormation uses too."""
    path = prod.parent / "expanded.json"
    path.write_text(json.dumps(translate(template)))
    return path


def translate(template: Any) -> Any:
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
        pytest.skip(f"{tool} is missing; `make check` installs it")
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
            # In its folder: checkov takes a path of the length of a secret for one.
            done = run(
                "checkov", "-f", path.name, "--framework", "cloudformation", "--skip-download", "-o", "json", cwd=path.parent
            )
            report = json.loads(done.stdout)["results"]
            assert len(report["passed_checks"]) > 25
            skipped = {check["check_id"] for check in report["skipped_checks"]}
            failed = {(check["check_id"], check["resource"]) for check in report["failed_checks"]}
            # The skip is on the API; SAM does not copy it to the stage.
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

    def test_the_functions_have_every_setting(self, template: Any) -> None:
        for function in ("APIHandler", "UserAuthorizer"):
            variables = template["Resources"][function]["Properties"]["Environment"]["Variables"]
            assert variables.keys() == {name.upper() for name in Settings.__struct_fields__}
            assert variables["TABLE_NAME"] == {"Ref": "Table"}

    def test_there_is_one_stage_and_one_role_for_each_function(self, expanded: Path) -> None:
        resources = json.loads(expanded.read_text())["Resources"]
        kinds = [resource["Type"] for resource in resources.values() if "Condition" not in resource]
        functions = 1 + len(declarations())
        assert [kinds.count(f"AWS::{kind}") for kind in ("ApiGateway::Stage", "Lambda::Function", "IAM::Role")] == [
            1,
            functions,
            functions,
        ]

    def test_parameters_that_cost_money_at_rest_are_off_by_default(self, template: Any) -> None:
        off = {
            name: template["Parameters"][name]["Default"] for name in ("KmsKeyArn", "ReservedConcurrency", "AlarmTopicArn")
        }
        assert set(off.values()) == {""}
        assert template["Parameters"]["Dashboard"]["Default"] == "false"

    def test_the_domain_in_the_settings_of_chalice_is_the_default_of_parameters_and_variables(
        self, template: Any, tmp_path: Path
    ) -> None:
        domain = {"domain_name": "api.example.com", "certificate_arn": "arn:aws:acm:r:a:certificate/c", "url_prefix": "v1"}
        wanted = {"ApiDomain": "api.example.com", "ApiCertificateArn": "arn:aws:acm:r:a:certificate/c", "ApiBasePath": "v1"}
        checkout = Checkout(tmp_path, NoCredentials(), "prod")  # type: ignore[arg-type]

        def change(config: Any) -> Any:
            config["stages"]["prod"]["api_gateway_custom_domain"] = domain
            return config

        checkout.change_config(change)
        checkout.tools("package")
        packaged = json.loads((checkout.folder / "dist" / "prod" / "template.json").read_text())
        assert {name: packaged["Parameters"][name]["Default"] for name in wanted} == wanted
        for name in ("ApiGatewayCustomDomain", "ApiGatewayCustomDomainMapping"):
            assert packaged["Resources"][name] == template["Resources"][name]
        checkout.tools("package-terraform")
        module = checkout.folder / "dist" / "prod-terraform"
        variables = json.loads((module / "variables.tf.json").read_text())["variable"]
        assert {name: variables[snake(name)]["default"] for name in wanted} == wanted
        assert "aws_api_gateway_domain_name" not in (module / "chalice.tf.json").read_text()

    def test_web_acl_and_domain_are_those_of_the_stage(self, expanded: Path) -> None:
        resources = json.loads(expanded.read_text())["Resources"]
        acl = resources["WebAclAssociation"]["Properties"]["ResourceArn"]["Fn::Sub"]
        assert acl.endswith("::/restapis/${RestAPI}/stages/${RestAPIprodStage}")
        for name in ("ApiGatewayCustomDomainMapping", "ExistingDomainMapping"):
            assert resources[name]["Properties"]["Stage"] == {"Ref": "RestAPIprodStage"}

    def test_only_current_tls_versions_are_accepted(self, template: Any) -> None:
        assert template["Resources"]["RestAPI"]["Properties"]["SecurityPolicy"] == "SecurityPolicy_TLS13_1_2_2021_06"


class TestTheZip:
    def test_packaging_the_same_commit_twice_gives_the_same_bytes(self, prod: Path, tmp_path: Path) -> None:
        again = build(tmp_path)
        for name in ("deployment.zip", "template.json", "parameters.json", "import.json", "MANIFEST.md"):
            assert (again / name).read_bytes() == (prod / name).read_bytes(), name

    def test_the_zip_for_another_architecture_differs_in_native_files_only(self, prod: Path, tmp_path: Path) -> None:
        x86 = contents(build(tmp_path, "x86_64") / "deployment.zip")
        arm = contents(prod / "deployment.zip")
        native = {name for name in arm.keys() ^ x86.keys() if ".so" not in name}
        assert native == set()
        changed = {name for name in arm.keys() & x86.keys() if arm[name] != x86[name]}
        assert all(name.endswith(".so") or ".dist-info/" in name for name in changed)
        assert any("aarch64" in name for name in arm)
        assert not any("x86_64" in name for name in arm)

    def test_a_wheel_for_another_processor_must_have_one_of_the_hashes_too(self, tmp_path: Path) -> None:
        checkout = Checkout(tmp_path, NoCredentials(), "prod")  # type: ignore[arg-type]
        checkout.change_config(lambda config: config | {"lambda_architecture": "arm64"})
        locked = checkout.folder / "requirements.txt"
        (pin,) = re.findall("^msgspec==[0-9.]+", locked.read_text(), re.MULTILINE)
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path / "native"), pin]
        subprocess.run(fetch, check=True, capture_output=True)
        (wheel,) = (tmp_path / "native").iterdir()
        native = hashlib.sha256(wheel.read_bytes()).hexdigest()
        one_hash = re.sub(
            rf"^{pin}( \\\n    --hash=\S+)+", f"{pin} --hash=sha256:{native}", locked.read_text(), flags=re.MULTILINE
        )
        assert one_hash != locked.read_text()
        locked.write_text(one_hash)
        done = checkout.tools("package", check=False)
        assert "DO NOT MATCH THE HASHES" in done.stderr
        assert done.returncode != 0
        assert not (checkout.folder / "dist").exists()

    def test_the_zip_contains_what_lambda_needs_and_nothing_else(self, prod: Path) -> None:
        names = contents(prod / "deployment.zip").keys()
        tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
        assert tops == {
            "app.py", "chalicelib", "chalice", f"_cffi_backend.cpython-3{sys.version_info.minor}-aarch64-linux-gnu.so", "cryptography", "jwt",
            "msgspec", "phonenumbers", "botocore", "jmespath", "dateutil", "urllib3", "six.py", "__pycache__",
        }  # fmt: skip
        unused = re.compile(r"(.*/)?(tests?|examples)/.*|.*\.(pyi|typed|h|pxd|rst|data/.*)|.*/(RECORD|WHEEL)")
        assert not [name for name in names if unused.fullmatch(name)]

    def test_the_zip_has_botocores_data_of_the_services_that_the_app_calls_and_of_no_others(self, prod: Path) -> None:
        data = [name.split("/")[2:] for name in contents(prod / "deployment.zip") if re.match("botocore/data/.*json", name)]
        assert {path[0] for path in data if len(path) > 1} == {"cognito-idp", "dynamodb", "sns"}
        assert {path[0] for path in data if len(path) == 1} == {
            "_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json",
        }  # fmt: skip

    def test_the_zip_has_the_licence_of_each_package(self, prod: Path) -> None:
        names = contents(prod / "deployment.zip").keys()
        locked = re.findall(r"^(\S+)==([^ ]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
        assert len(locked) > 5
        for name, version in locked:
            folder = f"{name.replace('-', '_')}-{version}.dist-info/"
            assert any(entry.startswith(folder) and "LICENSE" in entry for entry in names), folder

    def test_the_bill_of_materials_is_cyclonedx_and_has_the_packages_of_the_zip(self, prod: Path) -> None:
        document = json.loads((prod / "sbom.json").read_text())
        digest = hashlib.sha256((prod / "deployment.zip").read_bytes()).hexdigest()
        (folder,) = (LINTERS.parent / "lib").glob("python*/site-packages/cyclonedx/schema/_res")
        schemas = [
            json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text()) for name in ("bom-1.6", "jsf-0.82", "spdx")
        ]
        registry = Registry().with_contents((schema["$id"], schema) for schema in schemas)
        Draft7Validator(schemas[0], registry=registry).validate(document)
        assert document["metadata"]["component"]["hashes"][0]["content"] == digest
        names = contents(prod / "deployment.zip").keys()
        packages = {match[1].replace("_", "-") for name in names if (match := re.match(r"([^/]+)\.dist-info/", name))}
        named = {f"{component['name']}-{component['version']}" for component in document["components"]}
        assert packages == {name for name in named if not name.startswith(("chalice-", "swagger-ui-dist-"))}
        (swagger,) = (one["version"] for one in document["components"] if one["name"] == "swagger-ui-dist")
        assert f'PACKAGE_VERSION:"{swagger}"' in (ROOT / "chalicelib" / "static" / "docs.html").read_text()

    def test_the_zip_is_no_larger_than_it_must_be(self, prod: Path) -> None:
        """Most is cryptography (5 MB), then bytecode (2 MB)."""
        assert (prod / "deployment.zip").stat().st_size < 10_500_000
        assert sum(map(len, contents(prod / "deployment.zip").values())) < 32_000_000

    def test_the_parameters_are_all_of_the_template_with_the_values_of_the_stage(self, prod: Path, template: Any) -> None:
        given = dict(text.split("=", 1) for text in json.loads((prod / "parameters.json").read_text()))
        assert given.keys() == template["Parameters"].keys()
        configured = template_parameters("prod")
        assert {name: given[name] for name in configured} == configured
        assert given["WebOrigin"] == "https://app.example.com"

    def test_the_manifest_contains_hashes_permissions_and_settings(self, prod: Path) -> None:
        manifest = (prod / "MANIFEST.md").read_text()
        for name in ("deployment.zip", "template.json", "parameters.json"):
            assert hashlib.sha256((prod / name).read_bytes()).hexdigest() in manifest
        assert "Publish to phone numbers, not to `arn:*:sns:*:*:*`" in manifest
        assert "| SMS_PARTS_PER_DAY | 1000 |" in manifest


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def chalice_template(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return Chalice's own template of an app with one route and log_retention_in_days."""
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
    """Bugs of Chalice with a workaround in tools/deploy: when a test fails, its workaround can be removed."""

    def test_chalices_log_group_still_names_a_missing_resource(self, chalice_template: Any) -> None:
        named = json.dumps(chalice_template["Resources"]["ApiHandlerLogGroup"]["Properties"]["LogGroupName"])
        assert "${ApiHandler}" in named, "aws/chalice#2079 is fixed: log_retention_in_days can replace our log groups"
        assert "ApiHandler" not in chalice_template["Resources"]

    def test_sam_still_adds_a_second_stage(self, chalice_template: Any) -> None:
        del chalice_template["Resources"]["ApiHandlerLogGroup"]
        assert deployment_stages(translate(chalice_template)) == ["Stage"], (
            "aws/chalice#1655 is fixed: OpenApiVersion can be removed"
        )

    def test_our_template_adds_no_second_stage(self, expanded: Path) -> None:
        assert deployment_stages(json.loads(expanded.read_text())) == [None]


def deployment_stages(template: Any) -> list[str | None]:
    """Return the additional stage of each deployment."""
    resources = template["Resources"].values()
    return [one["Properties"].get("StageName") for one in resources if one["Type"] == "AWS::ApiGateway::Deployment"]
