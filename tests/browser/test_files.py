"""The files of web/: small, complete, of known origin, and of the types that the API documents."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support import npm
from tools.deploy import stack, web

WEB = ROOT / "web"
OPENAPI = ROOT / "chalicelib" / "static" / "openapi.json"
VENDORED = WEB / "vendor" / "preact.js"
OWN = [path for path in sorted(WEB.rglob("*")) if path.suffix in {".js", ".css", ".html"} and path != VENDORED]


def write_types(openapi: Path) -> None:
    done = npm.run("openapi-typescript", str(openapi), "-o", str(npm.TYPES))
    assert done.returncode == 0, done.stderr


def test_the_page_names_every_module() -> None:
    named = re.findall(
        r'<link rel="modulepreload" href="(.*)">|<script type="module" src="(.*)">', (WEB / "index.html").read_text()
    )
    assert sorted("".join(pair) for pair in named) == sorted(path for path in web.files() if path.endswith(".js"))


def test_the_page_has_no_inline_script_and_no_inline_style() -> None:
    page = (WEB / "index.html").read_text()
    assert re.findall(r"<script(?! type=\"module\" src=)|<style|\bon\w+=|style=", page) == []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_a_file_is_short_and_starts_with_what_it_is_for(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 300
    assert path.suffix == ".html" or re.match(r"// [A-Z]|/\* [A-Z]", lines[0])


def test_every_host_sends_the_same_headers() -> None:
    """Those of the local server, of docs/deploy.md and of CloudFront; Terraform's are compared with CloudFormation's."""
    properties = stack.read_template()["Resources"]["WebHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
    security = properties["SecurityHeadersConfig"]
    wanted = web.headers("${WebAppApi}", "https://${DomainPrefix}.auth.${AWS::Region}.amazoncognito.com")
    assert wanted.pop("Content-Security-Policy") == security["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Sub"]
    assert wanted.pop("Referrer-Policy") == security["ReferrerPolicy"]["ReferrerPolicy"]
    assert wanted.pop("X-Content-Type-Options") == "nosniff"
    assert security["ContentTypeOptions"] == {"Override": True}
    assert wanted == {item["Header"]: item["Value"] for item in properties["CustomHeadersConfig"]["Items"]}
    told = dict(re.findall(r'- key: (.*)\n +value: "?(.*?)"?\n', (ROOT / "docs" / "deploy.md").read_text()))
    servers = "https://API.execute-api.REGION.amazonaws.com", "https://PREFIX.auth.REGION.amazoncognito.com"
    assert told.items() >= web.headers(*servers).items()


def test_packaging_writes_what_is_served_and_keeps_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    web.write(tmp_path)
    written = {f"/{path.relative_to(tmp_path).as_posix()}" for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {*web.files(), "/config.json"}


def test_the_library_is_the_published_one() -> None:
    notice = VENDORED.with_suffix(".txt").read_text()
    assert re.findall(r"SHA-256: (\S+)", notice) == [hashlib.sha256(VENDORED.read_bytes()).hexdigest()]
    assert f"htm {json.loads((npm.FOLDER / 'package.json').read_text())['devDependencies']['htm']}" in notice
    assert VENDORED.read_bytes() == (npm.install() / "htm" / "preact" / "standalone.module.js").read_bytes()


def test_the_lock_file_has_a_hash_for_each_package_and_names_no_registry() -> None:
    packages = json.loads((npm.FOLDER / "package-lock.json").read_text())["packages"]
    del packages[""]
    assert len(packages) > 5
    assert all(package["integrity"].startswith("sha512-") and "resolved" not in package for package in packages.values())


def test_the_code_agrees_with_the_types_of_the_openapi_document() -> None:
    write_types(OPENAPI)
    done = npm.run("tsc", "--project", "tsconfig.web.json")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new", "file"),
    [
        ('"due_at"', '"deadline"', "web/board.js"),
        ('"in_progress"', '"started"', "web/board.js"),
        ('"name": "cursor"', '"name": "after"', "web/loaded.js"),
        ('"/tasks/{task_id}"', '"/todos/{task_id}"', "web/api.js"),
    ],
    ids=["member", "status", "query", "route"],
)
def test_a_change_of_the_api_that_breaks_the_page_is_found(tmp_path: Path, old: str, new: str, file: str) -> None:
    changed = tmp_path / "openapi.json"
    changed.write_text(OPENAPI.read_text().replace(old, new))
    try:
        write_types(changed)
        done = npm.run("tsc", "--project", "tsconfig.web.json")
    finally:
        write_types(OPENAPI)
    assert file in done.stdout
