"""`make run`: sign-in, requests over HTTP, the commands of `python -m tools`, start, stop and reload."""

import http.client
import importlib
import ipaddress
import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from pycognito.aws_srp import AWSSRP
from waitress import utilities

from chalicelib import __version__
from tests.conftest import ROOT
from tests.support.local_server import (
    READY,
    TIMEOUT,
    LocalServer,
    clean_environment,
    copy_checkout,
    free_port,
    lengthen_timeouts,
    open_ports,
    run_server,
    wait_for,
)
from tools.local import emulator, gateway


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Serve a copy that is a git repository, for all tests of this file."""
    folder = tmp_path_factory.mktemp("server")
    checkout = lengthen_timeouts(copy_checkout(folder / "checkout"))
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    with run_server(folder / "home", checkout) as server:
        yield server


@pytest.fixture
def carol(server: LocalServer) -> str:
    """Sign up a new user and return an ID token."""
    email = f"carol{time.time_ns()}@example.org"
    assert server.tools("signup", email).returncode == 0
    return server.token(email)


class TestStartup:
    def test_the_commands_that_make_run_prints_work_when_pasted(self, server: LocalServer) -> None:
        printed = server.output.read_text()
        commands = re.findall(r"^  ((?:TOKEN=|MACHINE=|curl |LOCAL_HOME=.* -m tools inbox).*)$", printed, re.MULTILINE)
        assert len(commands) == 6
        script = "\necho\n".join(commands)
        environment = {name: value for name, value in server.environment.items() if name != "LOCAL_HOME"}
        done = subprocess.run(
            ["bash", "-ec", script], cwd=server.checkout, env=environment, capture_output=True, check=True, text=True
        )
        created, listed, sent, *inbox = filter(None, done.stdout.splitlines())
        assert json.loads(created)["title"] == "Buy milk"
        assert json.loads(created) in json.loads(listed)["tasks"]
        assert json.loads(sent)["status"] == "sent"
        assert inbox == ["+12025550100  Hello"]

    def test_make_run_prints_the_users_and_their_passwords(self, server: LocalServer) -> None:
        printed = server.output.read_text()
        for name in ("alice", "bob", "admin"):
            (password,) = re.findall(rf"{name}@example\.com +(\S+)", printed)
            assert re.fullmatch(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{10,}", password)

    def test_of_the_local_users_only_admin_is_in_the_group_admin(self, server: LocalServer) -> None:
        assert jwt.decode(server.token("admin"), options={"verify_signature": False})["cognito:groups"] == ["admin"]
        assert "cognito:groups" not in jwt.decode(server.token("alice@example.com"), options={"verify_signature": False})

    def test_make_run_changes_no_tracked_file(self, server: LocalServer) -> None:
        server.token("alice")
        for command in (["diff", "--name-only"], ["ls-files", "--others", "--exclude-standard"]):
            assert subprocess.run(["git", *command], cwd=server.checkout, check=True, capture_output=True).stdout == b""


class TestConcurrency:
    """In the threads of `chalice local`; the instances of test_linearizability.py have one each."""

    def test_one_of_many_concurrent_writers_with_the_same_tag_succeeds(self, server: LocalServer, carol: str) -> None:
        path = server("POST", "/tasks", carol, {"title": "T"}).headers["Location"]
        with ThreadPoolExecutor(16) as threads:
            responses = list(
                threads.map(lambda n: server("PATCH", path, carol, {"title": str(n)}, If_Match='"1"'), range(16))
            )
        assert sorted(response.status for response in responses) == [200] + [412] * 15
        (winner,) = [response.json for response in responses if response.status == 200]
        assert server("GET", path, carol).json == winner

    def test_concurrent_requests_with_the_same_idempotency_key_create_one_task(
        self, server: LocalServer, carol: str
    ) -> None:
        with ThreadPoolExecutor(16) as threads:
            responses = list(
                threads.map(lambda _: server("POST", "/tasks", carol, {"title": "T"}, Idempotency_Key="k"), range(16))
            )
        assert {response.status for response in responses} <= {201, 409}
        created = {response.body for response in responses if response.status == 201}
        assert len(created) == 1
        assert [response.headers["Idempotency-Replayed"] for response in responses if response.status == 201].count(
            None
        ) == 1
        assert server("GET", "/tasks", carol).json["count"] == 1


class TestTokens:
    def test_only_an_id_token_of_the_web_client_is_accepted(self, server: LocalServer) -> None:
        settings = server.settings()
        cognito = server.client("cognito-idp")
        pool = settings["USER_POOL_ARN"].rpartition("/")[2]
        other = cognito.create_user_pool_client(
            UserPoolId=pool, ClientName="other", ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH"]
        )
        password = json.loads((server.home / "passwords.json").read_text())["bob@example.com"]

        def sign_in(client: str) -> Any:
            return AWSSRP("bob@example.com", password, pool, client, client=cognito).authenticate_user()[
                "AuthenticationResult"
            ]

        own, others = sign_in(settings["WEB_CLIENT_ID"]), sign_in(other["UserPoolClient"]["ClientId"])
        statuses = {
            name: server("GET", "/tasks", token).status
            for name, token in {
                "id": own["IdToken"],
                "access": own["AccessToken"],
                "refresh": own["RefreshToken"],
                "id of another client": others["IdToken"],
                "access of another client": others["AccessToken"],
                "altered": own["IdToken"][:-4] + "AAAA",
                "none": "",
            }.items()
        }
        assert statuses == dict.fromkeys(statuses, 401) | {"id": 200}

    def test_a_wrong_password_gets_no_token(self, server: LocalServer, tmp_path: Path) -> None:
        passwords = server.home / "passwords.json"
        before = passwords.read_text()
        try:
            passwords.write_text(json.dumps(json.loads(before) | {"bob@example.com": "Wrong12345"}))
            done = server.tools("token", "bob")
        finally:
            passwords.write_text(before)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert not list(tmp_path.iterdir())


class TestHttp:
    def test_a_response_to_head_has_no_body_and_the_connection_stays_usable(self, server: LocalServer) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        for method, status in (("HEAD", 404), ("GET", 200), ("OPTIONS", 200), ("GET", 200)):
            connection.request(method, "/health")
            response = connection.getresponse()
            assert response.status == status
            assert bool(response.read()) is (method == "GET")
        connection.close()

    @pytest.mark.parametrize("token", ["", "x", "x.y", "x.y.z", "a.e30.b", "ü", "e30.e30."])
    def test_a_malformed_token_is_unauthorized(self, server: LocalServer, token: str) -> None:
        response = server("GET", "/tasks", token.encode().decode("latin-1"))
        assert (response.status, response.json["type"]) == (401, "urn:problem:unauthorized")

    def test_a_body_that_is_not_utf_8_is_malformed(self, server: LocalServer, carol: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        connection.request("POST", "/tasks", b'{"title": "\xff"}', {"Authorization": carol})
        assert connection.getresponse().status == 400
        connection.close()

    @pytest.mark.parametrize(("request_", "status"), [
        (b"GET /tasks?a=SECRET b HTTP/1.1\r\n\r\n", 400), (b"SECRET\r\n\r\n", 400), (b"GET /health HTTP/1.1\r\nContent-Length: SECRET\r\n\r\n", 400),
        (b"POST /tasks HTTP/1.1\r\nTransfer-Encoding: SECRET\r\n\r\n6\r\nSECRET\r\n0\r\n\r\n", 400),
        (b"POST /tasks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400), (b"SECRET /tasks HTTP/1.1\r\n\r\n", 405),
        (b"POST /tasks HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\nSECRET", 413), (b"GET /tasks HTTP/1.1\r\nX SECRET\r\n\r\n", 400),
        (b"TRACE /tasks HTTP/1.1\r\n\r\n", 405), (b"GET /SECRET HTTP/1.1\r\nAuthorization: Bearer \xe9\r\n\r\n", 404),
        (b"GET /SECRET HTTP/1.1\r\nAuthorization: SECRET\r\n\r\n", 404),
    ])  # fmt: skip
    def test_an_invalid_http_request_gets_a_problem_and_is_not_logged(
        self, server: LocalServer, request_: bytes, status: int
    ) -> None:
        response = server.send_raw(request_)
        head, _, body = response.partition("\r\n\r\n")
        assert re.match(rf"HTTP/1\.[01] {status} ", head)
        assert "X-Request-Id: " in head
        assert json.loads(body)["status"] == status
        assert "SECRET" not in response + server.output.read_text()

    @pytest.mark.parametrize(("request_", "status"), [
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 414), (b"GET /health HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    ])  # fmt: skip
    def test_a_request_line_or_headers_above_the_limits_of_api_gateway_are_rejected(
        self, server: LocalServer, request_: bytes, status: int
    ) -> None:
        assert server.send_raw(request_).split(" ")[1] == str(status)

    def test_a_request_above_the_limit_of_waitress_is_rejected_alike(self) -> None:
        status, _, body = gateway._invalid_request_response(utilities.RequestHeaderFieldsTooLarge("x"))
        assert (status, body) == ("431 Request Header Fields Too Large", b"Request Header Fields Too Large")

    def test_a_request_with_an_incomplete_body_is_not_executed(self, server: LocalServer, carol: str) -> None:
        head = f"POST /tasks HTTP/1.1\r\nAuthorization: {carol}\r\nContent-Length: 1000\r\n\r\n"
        assert server.send_raw(head.encode() + b'{"title": "T"}') == ""
        assert server("GET", "/tasks", carol).json["count"] == 0

    def test_a_chunked_body_is_read(self, server: LocalServer, carol: str) -> None:
        head = f"POST /tasks HTTP/1.1\r\nAuthorization: {carol}\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert server.send_raw(head.encode() + b'5\r\n{"tit\r\n8\r\nle":"T"}\r\n0\r\n\r\n').startswith("HTTP/1.1 201 ")
        assert [task["title"] for task in server("GET", "/tasks", carol).json["tasks"]] == ["T"]

    def test_a_client_that_expects_100_continue_receives_it(self, server: LocalServer, carol: str) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as connection:
            head = f"POST /tasks HTTP/1.1\r\nAuthorization: {carol}\r\nContent-Length: 13\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
            connection.sendall(b'{"title":"T"}')
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")

    def test_white_space_around_the_value_of_a_header_is_ignored(self, server: LocalServer, carol: str) -> None:
        path = server("POST", "/tasks", carol, {"title": "T"}).headers["Location"]
        head = f'GET {path} HTTP/1.1\r\nAuthorization:\t {carol} \t\r\nIf-None-Match: "1" \r\n\r\n'
        assert server.send_raw(head.encode()).startswith("HTTP/1.1 304 ")

    @pytest.mark.parametrize(
        "path", ["/health/", "//health", "/health;x=1", "/Health", "/%68ealth", "http://127.0.0.1/health/"]
    )
    def test_a_path_that_differs_from_a_route_is_not_found(self, server: LocalServer, path: str) -> None:
        assert server.send_raw(f"GET {path} HTTP/1.1\r\n\r\n".encode()).startswith("HTTP/1.1 404 ")

    def test_a_request_line_with_an_absolute_url_is_routed_by_its_path(self, server: LocalServer) -> None:
        assert server.send_raw(b"GET http://127.0.0.1/health HTTP/1.1\r\n\r\n").startswith("HTTP/1.1 200 ")

    def test_connection_resets_leave_no_traceback_in_the_log(self, server: LocalServer) -> None:
        for request_ in (b"GET /docs HTTP/1.1\r\n\r\n", b"POST /tasks HTTP/1.1\r\nContent-Length: 9\r\n\r\n{") * 5:
            with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(request_)
        assert server("GET", "/health").status == 200
        assert "Traceback" not in server.output.read_text()

    def test_a_repeated_header_is_one_list_of_values(self, server: LocalServer, carol: str) -> None:
        path = server("POST", "/tasks", carol, {"title": "T"}).headers["Location"]
        for tags, status in ((['"7"', '"1"'], 200), (['"7"', '"8"'], 412)):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
            connection.putrequest("PATCH", path)
            for name, value in [("Authorization", carol), ("Content-Length", "16"), *(("If-Match", tag) for tag in tags)]:
                connection.putheader(name, value)
            connection.endheaders(b'{"title": "new"}')
            assert connection.getresponse().status == status
            connection.close()

    def test_64_concurrent_requests_succeed(self, server: LocalServer) -> None:
        with ThreadPoolExecutor(64) as threads:
            assert [response.status for response in threads.map(lambda _: server("GET", "/health"), range(64))] == [200] * 64

    def test_make_run_listens_on_loopback_only(self, server: LocalServer) -> None:
        for port in (server.port, server.aws_port):
            assert listeners(port) == {"127.0.0.1"}


def listeners(port: int) -> set[str]:
    """Return the IPv4 and IPv6 addresses with a listener on this port, from /proc/net on Linux and from `lsof` elsewhere."""
    tables = [table for name in ("tcp", "tcp6") if (table := Path("/proc/net") / name).exists()]
    if not tables:
        done = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fn"], check=True, capture_output=True, text=True
        )
        return {line[1:].rpartition(":")[0] for line in done.stdout.splitlines() if line.startswith("n")}
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]  # LISTEN
    return {ip_address(address) for address, number in local if int(number, 16) == port}


def ip_address(address: str) -> str:
    """Return an address of /proc/net, which has words of 32 bits in native byte order, in the usual notation."""
    words = [int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


class TestCommands:
    def test_plain_chalice_local_works_with_the_settings_that_env_prints(self, server: LocalServer) -> None:
        port = free_port()
        python, chalice = (shlex.quote(str(Path(sys.executable).with_name(name))) for name in ("python", "chalice"))
        script = f'eval "$({python} -m tools env)"; exec {chalice} local --stage local --port {port} --no-autoreload'
        environment = server.environment | {"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9"}
        plain = subprocess.Popen(
            ["bash", "-c", script],
            cwd=server.checkout,
            env=environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: open_ports(port), process=plain)
            other = LocalServer(server.home)
            other.port = port
            token = server.token("alice")
            assert other("GET", "/tasks", token).status == 200
            assert other("GET", "/tasks", "garbage").status == 401
            assert other("GET", "/nowhere", token).status == 404
        finally:
            plain.terminate()
            plain.wait(TIMEOUT)

    @pytest.mark.parametrize("arguments", [("token", "nobody"), ("signup", "alice@example.com"), ("signup", "no address")])
    def test_a_failing_command_prints_one_line_on_standard_error(
        self, server: LocalServer, arguments: tuple[str, ...]
    ) -> None:
        done = server.tools(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1

    def test_a_second_make_run_on_the_same_port_fails(self, server: LocalServer) -> None:
        done = server.tools("run")
        assert done.returncode == 1
        assert done.stderr.startswith(f"Port {server.port} is in use.")
        assert server("GET", "/health").status == 200

    def test_commands_without_make_run_say_that_nothing_is_running(self, tmp_path: Path) -> None:
        for command in (("env",), ("token", "alice"), ("signup", "x@example.org")):
            done = LocalServer(tmp_path / "home").tools(*command)
            assert (done.returncode, done.stdout) == (1, "")
            assert (
                done.stderr == "Nothing is running here. Start it with `make run` or `chalice local`, in another terminal.\n"
            )


class TestStartAndStop:
    @pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_a_signal_stops_all_processes_and_keeps_the_data(self, tmp_path: Path, signal_number: int) -> None:
        server = LocalServer(tmp_path / "home")
        first = server.start()
        token = server.token("alice")
        task = server("POST", "/tasks", token, {"title": "kept"}).json
        server.stop(signal_number)
        server.wait_until_closed()
        assert server.tools("env").returncode == 1
        again = server.start()
        assert server("GET", "/tasks", token).json["tasks"] == [task]
        assert server("GET", "/tasks", server.token("alice")).json["tasks"] == [task]
        assert re.findall(r"@example\.com +(\S+)", first) == re.findall(r"@example\.com +(\S+)", again)
        server.stop()

    @pytest.mark.parametrize(("name", "advice"), [
        ("port", "make run PORT={0}, or chalice local --port {0}"), ("aws_port", "AWS_PORT={0} make run, or AWS_PORT={0} chalice local"),
    ])  # fmt: skip
    def test_a_port_in_use_is_reported_in_one_line(self, tmp_path: Path, name: str, advice: str) -> None:
        server = LocalServer(tmp_path / "home")
        taken = getattr(server, name)
        with socket.socket() as other:
            other.bind(("127.0.0.1", taken))
            other.listen()
            done = server.tools("run")
        assert done.returncode == 1
        assert done.stderr == f"Port {taken} is in use. Choose another one: {advice.format(taken + 1)}\n"
        assert open_ports(server.port, server.aws_port) == []

    def test_the_web_app_and_its_configuration_are_served_and_any_path_is_a_page(self, server: LocalServer) -> None:
        settings = server.settings()
        address = f"http://localhost:{server.web_port}"
        assert f"\nThe web app is at {address}\n" in server.output.read_text().partition("The API is running")[0]
        expected = {"api": server.url, "signIn": settings["AWS_ENDPOINT_URL"], "clientId": settings["WEB_CLIENT_ID"]}
        assert json.loads(emulator.fetch(f"{address}/config.json")) == expected
        assert emulator.fetch(f"{address}/callback?code=x") == (server.checkout / "web" / "index.html").read_bytes()
        for path in ("/../pyproject.toml", "/vendor/preact.txt", "/%2e%2e/app.py"):
            assert emulator.fetch(address + path) == (server.checkout / "web" / "index.html").read_bytes()
        allowed = server("GET", "/health").headers["Access-Control-Allow-Origin"]
        assert allowed == address

    def test_a_port_in_use_does_not_stop_the_api_but_is_told(self, tmp_path: Path) -> None:
        server = LocalServer(tmp_path / "home")
        with socket.socket() as other:
            other.bind(("127.0.0.1", server.web_port))
            other.listen()
            try:
                printed = server.start()
                assert server("GET", "/health").status == 200
            finally:
                server.stop()
        message = f"Port {server.web_port} is in use, so the web app is not served. Choose another one: make run WEB_PORT={server.web_port + 1}\n"
        assert message in printed

    @pytest.mark.parametrize(("name", "value", "message"), [
        ("WEB_ORIGIN", "http://localhost:5173/", "is not an origin. Use scheme, host and port alone, such as http://localhost:5173"),
        ("WEB_ORIGIN", "localhost:5173", "is not an origin. Use scheme, host and port alone, such as http://localhost:5173"),
        ("WEB_PORT", "web", "is not a port. Use a number from 1 to 65535."), ("WEB_PORT", "65536", "is not a port. Use a number from 1 to 65535."),
    ])  # fmt: skip
    def test_a_value_that_is_no_origin_or_no_port_is_reported_in_one_line(
        self, tmp_path: Path, name: str, value: str, message: str
    ) -> None:
        server = LocalServer(tmp_path / "home")
        server.environment[name] = value
        done = server.tools("run")
        assert (done.returncode, done.stderr) == (1, f"{name}={value} {message}\n")

    def test_the_same_port_for_api_and_aws_is_reported_in_one_line(self, tmp_path: Path) -> None:
        server = LocalServer(tmp_path / "home")
        server.environment["AWS_PORT"] = server.environment["PORT"]
        done = server.tools("run")
        expected = f"PORT and AWS_PORT are both {server.port}. Choose another one: make run AWS_PORT={server.port + 1}\n"
        assert (done.returncode, done.stderr) == (1, expected)

    @pytest.mark.parametrize("content", ["", "{", "{}", "[]"])
    def test_a_broken_running_file_counts_as_nothing_running(self, tmp_path: Path, content: str) -> None:
        server = LocalServer(tmp_path / "home")
        server.home.mkdir()
        (server.home / "running.json").write_text(content)
        assert server.tools("env").stderr.startswith("Nothing is running here.")

    @pytest.mark.parametrize("value", ["x", "0", "65536", "-1", "80.0"])
    def test_an_invalid_port_is_reported_in_one_line(self, tmp_path: Path, value: str) -> None:
        server = LocalServer(tmp_path / "home")
        server.environment["PORT"] = value
        done = server.tools("run")
        assert (done.returncode, done.stderr) == (1, f"PORT={value} is not a port. Use a number from 1 to 65535.\n")

    def test_an_emulator_that_does_not_start_is_reported_in_one_line(self, tmp_path: Path) -> None:
        server = LocalServer(tmp_path / "home")
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "ministack.py").write_text("raise SystemExit('no')")
        server.environment["PYTHONPATH"] = str(tmp_path / "broken")
        done = server.tools("run")
        assert done.returncode == 1
        assert done.stderr == f"The local AWS did not start; {server.home / 'aws.log'} says why. Fix it, then start again.\n"
        assert "no" in (server.home / "aws.log").read_text()
        assert open_ports(server.port, server.aws_port) == []

    def test_a_python_that_is_too_old_is_reported_in_one_line(self, tmp_path: Path) -> None:
        old = tmp_path / "python3"
        program = "import runpy, sys; sys.version_info = (3, 10, 0); del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
        old.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{program}" "$@"\n')
        old.chmod(0o755)
        for name in ("Makefile", "tools/install.py", "requirements.txt", "requirements-dev.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        command = ["make", "run", f"PYTHON={old}"]
        done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, check=False, text=True)
        assert done.returncode != 0
        assert done.stderr.splitlines()[0] == (
            "Python 3.11 or later is required; this is 3.10. Choose another one: make run PYTHON=python3.12"
        )

    def test_make_stop_stops_the_server_and_prints_that(self, tmp_path: Path) -> None:
        server = LocalServer(tmp_path / "home")
        server.start()
        done = server.tools("stop")
        assert (done.returncode, done.stdout) == (0, "Stopped 1. Users, tokens and tasks are kept for the next start.\n")
        assert server.process
        assert server.process.wait(TIMEOUT) == 0
        assert open_ports(server.port, server.aws_port) == []
        assert (server.tools("stop").returncode, server.tools("stop").stderr) == (
            1,
            "Nothing is running here. Start it with `make run` or `chalice local`.\n",
        )

    def test_the_server_stops_when_make_is_killed(self, tmp_path: Path) -> None:
        server = LocalServer(tmp_path / "home")
        command = f"{shlex.quote(sys.executable)} -m tools run --end-with-parent; true"  # a shell in place of make
        with server.output.open("wb") as output:
            server.process = subprocess.Popen(
                ["bash", "-c", command], cwd=ROOT, env=server.environment, stdout=output, stderr=output
            )
        server.wait_for_output(READY)
        server.process.kill()
        server.process.wait()
        server.wait_until_closed()

    @pytest.mark.parametrize(
        ("module", "arguments"), [("tools.__main__", ["run"]), ("tools.install", [".venv", "requirements-dev.txt"])]
    )
    def test_native_windows_is_rejected_in_one_line(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        module: str,
        arguments: list[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.platform", "win32")
        monkeypatch.setattr("sys.argv", ["", *arguments])
        assert importlib.import_module(module).main() == 1
        errors = capsys.readouterr().err
        assert errors.startswith("This project needs macOS, Linux or WSL")
        assert errors.count("\n") == 1


@pytest.fixture(scope="class")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Serve a copy whose files the tests change."""
    folder = tmp_path_factory.mktemp("edited")
    with run_server(folder / "home", copy_checkout(folder / "copy")) as server:
        yield server


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    """Write as PyCharm, VS Code and `sed -i` do: rename a new file to the old name."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def by_backup(path: Path, text: str) -> None:
    """Write as vim does: rename the old file, write a new one."""
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def by_removal(path: Path, text: str) -> None:
    """Write as `git checkout` does: remove the old file, write a new one."""
    path.unlink()
    path.write_text(text)


class TestReload:
    @pytest.mark.parametrize("save", [in_place, by_rename, by_backup, by_removal])
    def test_each_way_of_saving_a_file_causes_a_reload_each_time(
        self, edited: LocalServer, save: Callable[[Path, str], None]
    ) -> None:
        release = edited.checkout / "chalicelib" / "__init__.py"
        for number in range(3):
            save(release, f'"""Saved."""\n\n__version__ = "{save.__name__} {number}"\n')
            os.utime(release, (1, 1))  # as if all were saved within one second; the size is the same as well
            edited.wait_for_release(f"{save.__name__} {number}")

    @pytest.mark.parametrize("save", [in_place, by_rename, by_backup, by_removal])
    def test_saving_app_py_causes_a_reload(self, edited: LocalServer, save: Callable[[Path, str], None]) -> None:
        app = edited.checkout / "app.py"
        text = app.read_text()
        for number in range(2):
            save(app, re.sub(r"about\.[hH]ealth\(.*\)", f'about.Health("ok", "{save.__name__} {number}")', text))
            edited.wait_for_release(f"{save.__name__} {number}")
        save(app, text)

    def test_a_file_in_a_new_folder_causes_a_reload(self, edited: LocalServer) -> None:
        folder = edited.checkout / "chalicelib" / "added"
        folder.mkdir()
        edited.wait_for_output("chalicelib/added. Restarting ...")
        edited.wait_for_output("chalicelib/added/__init__.py", lambda: (folder / "__init__.py").write_text(""))

    def test_exceptions_and_the_log_of_the_app_are_printed_locally(self, edited: LocalServer) -> None:
        app = edited.checkout / "app.py"
        text = app.read_text()
        app.write_text(
            text.replace("return about.health()", 'app.log.info("a log line")\n    raise LookupError("an exception")')
        )
        edited.wait_for_output("LookupError: an exception", lambda: edited("GET", "/health"))
        assert "a log line" in edited.output.read_text()
        app.write_text(text)

    def test_a_syntax_error_is_reported_and_the_next_change_is_served(self, tmp_path: Path) -> None:
        copy = copy_checkout(tmp_path / "copy")
        server = LocalServer(tmp_path / "home", copy)
        server.start()
        try:
            path = copy / "chalicelib" / "__init__.py"
            path.write_text(path.read_text().replace(__version__, "changed"))
            server.wait_for_release("changed")
            path.write_text("this is no Python")
            server.wait_for_output("The app did not start: ")
            path.write_text('"""Fixed."""\n\n__version__ = "fixed"\n')
            server.wait_for_release("fixed")
            assert "Changed: chalicelib/__init__.py. Restarting ..." in server.output.read_text()
            assert "Traceback" not in server.output.read_text()
        finally:
            server.stop()
