"""`make run` on real input: AWS on this machine, real sign-ins, real HTTP. Each test uses it as a newcomer would."""

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

from chalicelib import RELEASE
from tests.conftest import ROOT
from tests.support.stand import PATIENCE, READY, Stand, clean_environment, copied, free_port, listening, running, slowed_down


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Serve the tests of this file from one start, of a copy that is a repository with all that is in it.

    It is empty of tasks for a user who has just signed up.
    """
    folder = tmp_path_factory.mktemp("stand")
    checkout = slowed_down(copied(folder / "checkout"))
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    with running(folder / "home", checkout) as stand:
        yield stand


@pytest.fixture
def carol(stand: Stand) -> str:
    """Sign up somebody new and return a token of theirs."""
    email = f"carol{time.time_ns()}@example.org"
    assert stand.local("signup", email).returncode == 0
    return stand.token(email)


class TestTheFirstMinutes:
    def test_the_commands_that_make_run_prints_work_when_pasted(self, stand: Stand) -> None:
        printed = stand.output.read_text()
        commands = re.findall(r"^  ((?:TOKEN=|MACHINE=|curl |LOCAL_HOME=\S+ \S+ -m local inbox).*)$", printed, re.MULTILINE)
        assert len(commands) == 6
        script = "\necho\n".join(commands)
        elsewhere = {name: value for name, value in stand.environment.items() if name != "LOCAL_HOME"}
        done = subprocess.run(
            ["bash", "-ec", script], cwd=stand.checkout, env=elsewhere, capture_output=True, check=True, text=True
        )
        created, listed, sent, *inbox = filter(None, done.stdout.splitlines())
        assert json.loads(created)["title"] == "Buy milk"
        assert json.loads(created) in json.loads(listed)["tasks"]
        assert json.loads(sent)["status"] == "sent"
        assert inbox == ["+12025550100  Hello"]

    def test_make_run_prints_the_users_and_their_passwords(self, stand: Stand) -> None:
        printed = stand.output.read_text()
        for name in ("alice", "bob", "admin"):
            (password,) = re.findall(rf"{name}@example\.com +(\S+)", printed)
            assert re.fullmatch(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{10,}", password)

    def test_of_the_demo_users_only_admin_is_in_the_group_admin(self, stand: Stand) -> None:
        assert jwt.decode(stand.token("admin"), options={"verify_signature": False})["cognito:groups"] == ["admin"]
        assert "cognito:groups" not in jwt.decode(stand.token("alice@example.com"), options={"verify_signature": False})

    def test_make_run_changes_no_tracked_file(self, stand: Stand) -> None:
        stand.token("alice")
        for command in (["diff", "--name-only"], ["ls-files", "--others", "--exclude-standard"]):
            assert subprocess.run(["git", *command], cwd=stand.checkout, check=True, capture_output=True).stdout == b""


class TestTheWholeRound:
    def test_a_task_can_be_created_read_changed_listed_and_deleted(self, stand: Stand, carol: str) -> None:
        created = stand("POST", "/tasks", carol, {"title": "T", "due_at": "2030-01-01T00:00:00+01:00"})
        assert created.status == 201
        path = created.headers["Location"]
        assert stand("GET", path, carol).json == created.json
        assert stand("GET", path, carol, If_None_Match=created.headers["ETag"]).status == 304
        changed = stand("PATCH", path, carol, {"status": "done"}, If_Match='"1"')
        assert (changed.status, changed.json["version"]) == (200, 2)
        stale = stand("PATCH", path, carol, {"status": "pending"}, If_Match='"1"')
        assert (stale.status, stale.headers["ETag"]) == (412, '"2"')
        assert stand("GET", "/tasks?status=done", carol).json["tasks"] == [changed.json]
        assert stand("GET", path, stand.token("bob")).status == 404
        assert stand("DELETE", path, carol, If_Match='"2"').status == 204
        assert stand("GET", path, carol).status == 404

    @pytest.mark.parametrize("query", ["", "&status=pending", "&status=pending&due_after=2030-01-01T00:00:00Z"])
    def test_the_pages_of_a_list_add_up_on_ministack_too(self, stand: Stand, carol: str, query: str) -> None:
        for number in range(7):
            assert (
                stand("POST", "/tasks", carol, {"title": str(number), "due_at": f"2030-01-0{number + 1}T00:00:00Z"}).status
                == 201
            )
        seen: list[str] = []
        cursor = ""
        while True:
            page = stand("GET", f"/tasks?limit=3{query}{cursor}", carol).json
            seen += [task["title"] for task in page["tasks"]]
            if page["next_cursor"] is None:
                break
            assert page["count"] == 3
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == (list("0123456") if query else list("6543210"))

    def test_the_board_shows_the_tasks_of_all(self, stand: Stand, carol: str) -> None:
        created = [
            stand("POST", "/tasks", carol, {"title": str(i), "status": "in_progress"}).json["task_id"] for i in range(5)
        ]
        seen, cursor = [], ""
        while cursor is not None:
            query = f"status=in_progress&limit=2{cursor and f'&cursor={cursor}'}"
            page = stand("GET", f"/admin/tasks?{query}", stand.token("admin"))
            assert page.status == 200
            seen += [task["task_id"] for task in page.json["tasks"]]
            cursor = page.json["next_cursor"]
        assert [task_id for task_id in seen if task_id in created] == created

    def test_of_many_writers_with_one_tag_one_wins(self, stand: Stand, carol: str) -> None:
        path = stand("POST", "/tasks", carol, {"title": "T"}).headers["Location"]
        with ThreadPoolExecutor(16) as many:
            answers = list(many.map(lambda n: stand("PATCH", path, carol, {"title": str(n)}, If_Match='"1"'), range(16)))
        assert sorted(answer.status for answer in answers) == [200] + [412] * 15
        (winner,) = [answer.json for answer in answers if answer.status == 200]
        assert stand("GET", path, carol).json == winner

    def test_of_many_calls_with_one_key_one_creates(self, stand: Stand, carol: str) -> None:
        with ThreadPoolExecutor(16) as many:
            answers = list(
                many.map(lambda _: stand("POST", "/tasks", carol, {"title": "T"}, Idempotency_Key="k"), range(16))
            )
        assert {answer.status for answer in answers} <= {201, 409}
        created = {answer.body for answer in answers if answer.status == 201}
        assert len(created) == 1
        assert [answer.headers["Idempotency-Replayed"] for answer in answers if answer.status == 201].count(None) == 1
        assert stand("GET", "/tasks", carol).json["count"] == 1

    def test_changes_without_a_tag_are_all_made_one_after_another(self, stand: Stand, carol: str) -> None:
        path = stand("POST", "/tasks", carol, {"title": "T", "due_at": "2030-01-01T00:00:00Z"}).headers["Location"]
        with ThreadPoolExecutor(8) as many:
            changes: list[dict[str, str]] = [
                {"status": "done"},
                {"title": "x"},
                {"due_at": "2031-01-01T00:00:00Z"},
                {"status": "pending"},
            ]
            answers = list(many.map(lambda change: stand("PATCH", path, carol, change), changes * 2))
        assert [answer.status for answer in answers] == [200] * 8
        assert sorted(answer.json["version"] for answer in answers) == list(range(2, 10))
        task = stand("GET", path, carol).json
        assert stand("GET", f"/tasks?status={task['status']}", carol).json["tasks"] == [task]


class TestRealTokens:
    def test_only_an_id_token_of_the_web_client_is_accepted(self, stand: Stand) -> None:
        settings = stand.settings()
        cognito = stand.client("cognito-idp")
        pool = settings["USER_POOL_ARN"].rpartition("/")[2]
        other = cognito.create_user_pool_client(
            UserPoolId=pool, ClientName="other", ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH"]
        )
        password = json.loads((stand.home / "people.json").read_text())["bob@example.com"]

        def signed_in(client: str) -> Any:
            return AWSSRP("bob@example.com", password, pool, client, client=cognito).authenticate_user()[
                "AuthenticationResult"
            ]

        mine, others = signed_in(settings["WEB_CLIENT_ID"]), signed_in(other["UserPoolClient"]["ClientId"])
        opened = {
            name: stand("GET", "/tasks", token).status
            for name, token in {
                "id": mine["IdToken"],
                "access": mine["AccessToken"],
                "refresh": mine["RefreshToken"],
                "id of another client": others["IdToken"],
                "access of another client": others["AccessToken"],
                "altered": mine["IdToken"][:-4] + "AAAA",
                "none": "",
            }.items()
        }
        assert opened == dict.fromkeys(opened, 401) | {"id": 200}

    def test_a_wrong_password_gets_no_token(self, stand: Stand, tmp_path: Path) -> None:
        people = stand.home / "people.json"
        kept = people.read_text()
        try:
            people.write_text(json.dumps(json.loads(kept) | {"bob@example.com": "Wrong12345"}))
            done = stand.local("token", "bob")
        finally:
            people.write_text(kept)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert not list(tmp_path.iterdir())


class TestTheServer:
    def test_a_head_has_no_body_and_the_connection_stays_readable(self, stand: Stand) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", stand.port, timeout=PATIENCE)
        for method, status in (("HEAD", 404), ("GET", 200), ("OPTIONS", 200), ("GET", 200)):
            connection.request(method, "/health")
            response = connection.getresponse()
            assert response.status == status
            assert bool(response.read()) is (method == "GET")
        connection.close()

    @pytest.mark.parametrize("token", ["", "x", "x.y", "x.y.z", "a.e30.b", "ü", "e30.e30."])
    def test_a_malformed_token_is_answered(self, stand: Stand, token: str) -> None:
        answer = stand("GET", "/tasks", token.encode().decode("latin-1"))
        assert (answer.status, answer.json["type"]) == (401, "urn:problem:unauthorized")

    def test_invalid_utf_8_is_malformed(self, stand: Stand, carol: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", stand.port, timeout=PATIENCE)
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
    def test_bytes_that_are_no_http_request_are_answered_with_a_problem_and_not_logged(
        self, stand: Stand, request_: bytes, status: int
    ) -> None:
        answer = stand.answer_to(request_)
        head, _, body = answer.partition("\r\n\r\n")
        assert re.match(rf"HTTP/1\.[01] {status} ", head)
        assert "X-Request-Id: " in head
        assert json.loads(body)["status"] == status
        assert "SECRET" not in answer + stand.output.read_text()

    @pytest.mark.parametrize(("request_", "status"), [
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 414), (b"GET /health HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    ])  # fmt: skip
    def test_a_request_line_or_headers_past_the_size_of_api_gateway_are_refused(
        self, stand: Stand, request_: bytes, status: int
    ) -> None:
        assert stand.answer_to(request_).startswith(f"HTTP/1.1 {status} ")

    def test_a_request_whose_body_never_comes_whole_is_not_carried_out(self, stand: Stand, carol: str) -> None:
        head = f"POST /tasks HTTP/1.1\r\nAuthorization: {carol}\r\nContent-Length: 1000\r\n\r\n"
        assert stand.answer_to(head.encode() + b'{"title": "T"}') == ""
        assert stand("GET", "/tasks", carol).json["count"] == 0

    def test_a_chunked_body_is_read(self, stand: Stand, carol: str) -> None:
        head = f"POST /tasks HTTP/1.1\r\nAuthorization: {carol}\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert stand.answer_to(head.encode() + b'5\r\n{"tit\r\n8\r\nle":"T"}\r\n0\r\n\r\n').startswith("HTTP/1.1 201 ")
        assert [task["title"] for task in stand("GET", "/tasks", carol).json["tasks"]] == ["T"]

    def test_a_client_that_waits_for_100_continue_is_told_to_go_on(self, stand: Stand, carol: str) -> None:
        with socket.create_connection(("127.0.0.1", stand.port), timeout=PATIENCE) as connection:
            head = f"POST /tasks HTTP/1.1\r\nAuthorization: {carol}\r\nContent-Length: 13\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
            connection.sendall(b'{"title":"T"}')
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")

    def test_white_space_around_the_value_of_a_header_means_nothing(self, stand: Stand, carol: str) -> None:
        path = stand("POST", "/tasks", carol, {"title": "T"}).headers["Location"]
        head = f'GET {path} HTTP/1.1\r\nAuthorization:\t {carol} \t\r\nIf-None-Match: "1" \r\n\r\n'
        assert stand.answer_to(head.encode()).startswith("HTTP/1.1 304 ")

    @pytest.mark.parametrize(
        "path", ["/health/", "//health", "/health;x=1", "/Health", "/%68ealth", "http://127.0.0.1/health/"]
    )
    def test_a_path_is_found_only_as_it_is_spelled(self, stand: Stand, path: str) -> None:
        assert stand.answer_to(f"GET {path} HTTP/1.1\r\n\r\n".encode()).startswith("HTTP/1.1 404 ")

    def test_a_whole_address_in_the_request_line_is_its_path(self, stand: Stand) -> None:
        assert stand.answer_to(b"GET http://127.0.0.1/health HTTP/1.1\r\n\r\n").startswith("HTTP/1.1 200 ")

    def test_clients_that_reset_their_connections_leave_no_trace(self, stand: Stand) -> None:
        for request_ in (b"GET /docs HTTP/1.1\r\n\r\n", b"POST /tasks HTTP/1.1\r\nContent-Length: 9\r\n\r\n{") * 5:
            with socket.create_connection(("127.0.0.1", stand.port), timeout=PATIENCE) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(request_)
        assert stand("GET", "/health").status == 200
        assert "Traceback" not in stand.output.read_text()

    def test_a_header_on_several_lines_is_one_list(self, stand: Stand, carol: str) -> None:
        path = stand("POST", "/tasks", carol, {"title": "T"}).headers["Location"]
        for tags, status in ((['"7"', '"1"'], 200), (['"7"', '"8"'], 412)):
            connection = http.client.HTTPConnection("127.0.0.1", stand.port, timeout=PATIENCE)
            connection.putrequest("PATCH", path)
            for name, value in [("Authorization", carol), ("Content-Length", "16"), *(("If-Match", tag) for tag in tags)]:
                connection.putheader(name, value)
            connection.endheaders(b'{"title": "new"}')
            assert connection.getresponse().status == status
            connection.close()

    def test_many_clients_may_come_at_once(self, stand: Stand) -> None:
        with ThreadPoolExecutor(64) as many:
            assert [answer.status for answer in many.map(lambda _: stand("GET", "/health"), range(64))] == [200] * 64

    def test_make_run_listens_on_loopback_only(self, stand: Stand) -> None:
        for port in (stand.port, stand.aws_port):
            assert listeners(port) == {"127.0.0.1"}


def listeners(port: int) -> set[str]:
    """Return the addresses of this machine, of IPv4 and IPv6, that somebody listens on at a port.

    Linux has a table of them; elsewhere `lsof` tells, without which this fails.
    """
    tables = [table for name in ("tcp", "tcp6") if (table := Path("/proc/net") / name).exists()]
    if not tables:
        told = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fn"], check=True, capture_output=True, text=True
        )
        return {line[1:].rpartition(":")[0] for line in told.stdout.splitlines() if line.startswith("n")}
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]  # which is LISTEN
    return {readable(address) for address, number in local if int(number, 16) == port}


def readable(address: str) -> str:
    """Return an address as people write it: the kernel writes each of its words in the order of this machine's bytes."""
    words = [int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


class TestOtherTerminals:
    def test_plain_chalice_local_works_with_the_settings_that_env_prints(self, stand: Stand) -> None:
        port = free_port()
        chalice = Path(sys.executable).with_name("chalice")
        script = f'eval "$({sys.executable} -m local env)"; exec {chalice} local --stage local --port {port} --no-autoreload'
        environment = stand.environment | {"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9"}
        plain = subprocess.Popen(
            ["bash", "-c", script], cwd=stand.checkout, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            end = time.monotonic() + PATIENCE
            while not listening(port):
                assert plain.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
            other = Stand(stand.home)
            other.port = port
            token = stand.token("alice")
            assert other("GET", "/tasks", token).status == 200
            assert other("GET", "/tasks", "garbage").status == 401
            assert other("GET", "/nowhere", token).status == 404
        finally:
            plain.terminate()
            plain.wait(PATIENCE)

    @pytest.mark.parametrize("arguments", [("token", "nobody"), ("signup", "alice@example.com"), ("signup", "no address")])
    def test_a_command_that_fails_says_why_in_one_line(self, stand: Stand, arguments: tuple[str, ...]) -> None:
        done = stand.local(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1

    def test_a_second_make_run_on_the_same_port_is_refused(self, stand: Stand) -> None:
        done = stand.local("run")
        assert done.returncode == 1
        assert done.stderr.startswith(f"Port {stand.port} is in use.")
        assert stand("GET", "/health").status == 200

    def test_commands_without_make_run_say_that_nothing_is_running(self, tmp_path: Path) -> None:
        for command in (("env",), ("token", "alice"), ("signup", "x@example.org")):
            done = Stand(tmp_path / "home").local(*command)
            assert (done.returncode, done.stdout) == (1, "")
            assert (
                done.stderr == "Nothing is running here. Start it with `make run` or `chalice local`, in another terminal.\n"
            )


class TestStartAndStop:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_a_stop_by_signal_loses_no_data_and_leaves_no_process(self, tmp_path: Path, how: int) -> None:
        stand = Stand(tmp_path / "home")
        first = stand.start()
        token = stand.token("alice")
        task = stand("POST", "/tasks", token, {"title": "kept"}).json
        stand.stop(how)
        end = time.monotonic() + PATIENCE
        while listening(stand.port, stand.aws_port):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert stand.local("env").returncode == 1
        again = stand.start()
        assert stand("GET", "/tasks", token).json["tasks"] == [task]
        assert stand("GET", "/tasks", stand.token("alice")).json["tasks"] == [task]
        assert re.findall(r"@example\.com +(\S+)", first) == re.findall(r"@example\.com +(\S+)", again)
        stand.stop()

    @pytest.mark.parametrize(("name", "told"), [
        ("port", "make run PORT={0}, or chalice local --port {0}"), ("aws_port", "AWS_PORT={0} make run, or AWS_PORT={0} chalice local"),
    ])  # fmt: skip
    def test_a_port_in_use_is_told_in_one_line(self, tmp_path: Path, name: str, told: str) -> None:
        stand = Stand(tmp_path / "home")
        taken = getattr(stand, name)
        with socket.socket() as other:
            other.bind(("127.0.0.1", taken))
            other.listen()
            done = stand.local("run")
        assert done.returncode == 1
        assert done.stderr == f"Port {taken} is in use. Choose another one: {told.format(taken + 1)}\n"
        assert listening(stand.port, stand.aws_port) == []

    def test_one_port_for_both_is_told_in_one_line(self, tmp_path: Path) -> None:
        stand = Stand(tmp_path / "home")
        stand.environment["AWS_PORT"] = stand.environment["PORT"]
        done = stand.local("run")
        expected = f"PORT and AWS_PORT are both {stand.port}. Choose another one: make run AWS_PORT={stand.port + 1}\n"
        assert (done.returncode, done.stderr) == (1, expected)

    @pytest.mark.parametrize("left", ["", "{", "{}", "[]"])
    def test_a_broken_running_file_counts_as_nothing_running(self, tmp_path: Path, left: str) -> None:
        stand = Stand(tmp_path / "home")
        stand.home.mkdir()
        (stand.home / "running.json").write_text(left)
        assert stand.local("env").stderr.startswith("Nothing is running here.")

    @pytest.mark.parametrize("value", ["x", "0", "65536", "-1", "80.0"])
    def test_an_invalid_port_is_refused_in_one_line(self, tmp_path: Path, value: str) -> None:
        stand = Stand(tmp_path / "home")
        stand.environment["PORT"] = value
        done = stand.local("run")
        assert (done.returncode, done.stderr) == (1, f"PORT={value} is not a port; take a number from 1 to 65535.\n")

    def test_an_emulator_that_does_not_start_is_reported_in_one_line(self, tmp_path: Path) -> None:
        stand = Stand(tmp_path / "home")
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "ministack.py").write_text("raise SystemExit('no')")
        stand.environment["PYTHONPATH"] = str(tmp_path / "broken")
        done = stand.local("run")
        assert done.returncode == 1
        assert done.stderr == f"The local AWS does not start; {stand.home / 'aws.log'} tells why.\n"
        assert "no" in (stand.home / "aws.log").read_text()
        assert listening(stand.port, stand.aws_port) == []

    def test_a_python_too_old_is_told_in_one_line(self, tmp_path: Path) -> None:
        old = tmp_path / "python3"
        program = "import runpy, sys; sys.version_info = (3, 10, 0); del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
        old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}" "$@"\n')
        old.chmod(0o755)
        for name in ("Makefile", "local/install.py", "requirements.txt", "requirements-dev.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        command = ["make", "run", f"PYTHON={old}"]
        done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, check=False, text=True)
        assert done.returncode != 0
        assert done.stderr.splitlines()[0] == (
            "Python 3.11 or later is needed, and this is 3.10. Name one: make run PYTHON=python3.12"
        )

    def test_make_stop_ends_what_runs_and_says_so(self, tmp_path: Path) -> None:
        stand = Stand(tmp_path / "home")
        stand.start()
        done = stand.local("stop")
        assert (done.returncode, done.stdout) == (0, "Stopped 1. Users, tokens and tasks are kept for the next start.\n")
        assert stand.process
        assert stand.process.wait(PATIENCE) == 0
        assert listening(stand.port, stand.aws_port) == []
        assert (stand.local("stop").returncode, stand.local("stop").stderr) == (1, "Nothing is running here.\n")

    def test_nothing_is_left_when_make_is_killed(self, tmp_path: Path) -> None:
        stand = Stand(tmp_path / "home")
        command = f"{shlex.quote(sys.executable)} -m local run --end-with-parent; true"  # with a shell in the place of make
        with stand.output.open("wb") as output:
            stand.process = subprocess.Popen(
                ["bash", "-c", command], cwd=ROOT, env=stand.environment, stdout=output, stderr=output
            )
        stand.prints(READY)
        stand.process.kill()
        stand.process.wait()
        end = time.monotonic() + PATIENCE
        while listening(stand.port, stand.aws_port):
            assert time.monotonic() < end
            time.sleep(0.1)

    @pytest.mark.parametrize("module", ["local", "local.install"])
    def test_native_windows_is_refused_in_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
    ) -> None:
        (tmp_path / "lock.txt").touch()
        monkeypatch.setattr("sys.platform", "win32")
        monkeypatch.setattr(
            "sys.argv",
            ["local", "run"] if module == "local" else ["install", str(tmp_path / "venv"), str(tmp_path / "lock.txt")],
        )
        main = importlib.import_module("local.__main__" if module == "local" else module).main
        assert main() == 1
        told = capsys.readouterr().err
        assert told.startswith("macOS, Linux or WSL is needed")
        assert told.count("\n") == 1


@pytest.fixture(scope="class")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Serve a copy whose files may be changed."""
    folder = tmp_path_factory.mktemp("edited")
    with running(folder / "home", copied(folder / "copy")) as stand:
        yield stand


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    """Write as PyCharm, VS Code and `sed -i` do: a new file takes the place of the old one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def by_backup(path: Path, text: str) -> None:
    """Write as vim does: the old file is moved away first."""
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def by_removal(path: Path, text: str) -> None:
    """Write as `git checkout` does: the old file is removed first."""
    path.unlink()
    path.write_text(text)


class TestReload:
    @pytest.mark.parametrize("save", [in_place, by_rename, by_backup, by_removal])
    def test_each_way_of_saving_is_noticed_more_than_once(self, edited: Stand, save: Callable[[Path, str], None]) -> None:
        release = edited.checkout / "chalicelib" / "__init__.py"
        for number in range(3):
            save(release, f'"""Saved."""\n\nRELEASE = "{save.__name__} {number}"\n')
            os.utime(release, (1, 1))  # as if all were saved within a second: the size is the same, too
            edited.serves(f"{save.__name__} {number}")

    @pytest.mark.parametrize("save", [in_place, by_rename, by_backup, by_removal])
    def test_app_py_is_noticed_too(self, edited: Stand, save: Callable[[Path, str], None]) -> None:
        app = edited.checkout / "app.py"
        text = app.read_text()
        for number in range(2):
            save(app, re.sub(r"web\.healthy\(.*\)", f'web.healthy("{save.__name__} {number}")', text))
            edited.serves(f"{save.__name__} {number}")
        save(app, text)

    def test_a_new_folder_is_watched(self, edited: Stand) -> None:
        folder = edited.checkout / "chalicelib" / "added"
        folder.mkdir()
        edited.prints("chalicelib/added. Starting again ...")
        edited.prints("chalicelib/added/__init__.py", lambda: (folder / "__init__.py").write_text(""))

    def test_the_text_of_an_exception_and_of_the_apps_own_log_is_shown_here(self, edited: Stand) -> None:
        app = edited.checkout / "app.py"
        text = app.read_text()
        app.write_text(
            text.replace(
                "return web.healthy(", 'app.log.info("it came here")\n    raise LookupError("for this reason")\n    return ('
            )
        )
        edited.prints("LookupError: for this reason", lambda: edited("GET", "/health"))
        assert "it came here" in edited.output.read_text()
        app.write_text(text)

    def test_a_change_of_the_code_is_served_at_once(self, tmp_path: Path) -> None:
        copy = copied(tmp_path / "copy")
        stand = Stand(tmp_path / "home", copy)
        stand.start()
        try:
            path = copy / "chalicelib" / "__init__.py"
            path.write_text(path.read_text().replace(RELEASE, "changed"))
            stand.serves("changed")
            path.write_text("this is no Python")
            stand.prints("The app does not start: ")
            path.write_text('"""Mended."""\n\nRELEASE = "mended"\n')
            stand.serves("mended")
            assert "Changed: chalicelib/__init__.py. Starting again ..." in stand.output.read_text()
            assert "Traceback" not in stand.output.read_text()
        finally:
            stand.stop()
