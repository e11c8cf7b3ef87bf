"""One and the same API, whichever way it was deployed: tokens by sign-in, every route, every refusal."""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jwt
import pytest

from app import app
from chalicelib.http.api import CORS
from tests.support import aws as e2e
from tests.support import deployments, leaks, pool
from tests.support.aws import Checkout, Deployed
from tests.support.local_server import PATIENCE, Response
from tools.deploy import gateway_responses


class Way(NamedTuple):
    checkout: Checkout
    api: Deployed
    alice: dict[str, str]
    bob: dict[str, str]
    admin: dict[str, str]
    machine: str


@pytest.fixture(scope="module", params=deployments.WAYS)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    folder = tmp_path_factory.mktemp(request.param)
    with e2e.running(folder) as aws:
        checkout, api = deployments.WAYS[request.param](folder, aws)
        alice, bob = api.signs_up("alice@example.com"), api.signs_up("bob@example.com")
        yield Way(checkout, api, alice, bob, api.signs_up("admin@example.com", "admin"), api.machine_token())


TASK = "/tasks/01a1f8ac-b459-7dd5-a160-0ddd8d7fcf8f"
ORIGINS = {"http://localhost:3000", "https://app.example.com"}
GUARDED = [("GET", "/tasks"), ("POST", "/tasks"), ("GET", TASK), ("PATCH", TASK), ("DELETE", TASK), ("GET", "/admin/tasks?status=done"), ("POST", "/sms"), ("GET", "/hello")]  # fmt: skip


def refused(answer: Response, status: int, slug: str) -> None:
    """Check a refusal: its form, its headers, and that a browser may read it."""
    assert (answer.status, answer.json["type"], answer.json["status"]) == (status, f"urn:problem:{slug}", status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["instance"] == answer.headers["X-Request-Id"]
    assert answer.headers["Access-Control-Allow-Origin"] in ORIGINS
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in answer.headers) == (status in {429, 503})


def altered(token: str) -> str:
    head, body, signature = token.split(".")
    return ".".join([head, body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB"), signature])


def as_nobody_of_the_pool(token: str, **changes: object) -> str:
    """Return the claims of a token, signed by somebody else under the name of the key that has signed it."""
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    return jwt.encode(claims, pool.KEYS["for-id"], "RS256", {"kid": jwt.get_unverified_header(token)["kid"]})


class TestTasks:
    def test_a_task_is_created_read_changed_and_deleted(self, way: Way) -> None:
        mine = f"Bearer {way.alice['IdToken']}"
        created = way.api("POST", "/tasks", mine, {"title": "Buy milk", "due_at": "2030-01-31T10:00:00+01:00"})
        assert created.status == 201
        path = f"/tasks/{created.json['task_id']}"
        assert created.headers["Location"] == f"/{way.api.stage}{path}"
        read = way.api("GET", path, way.alice["IdToken"])  # without the word Bearer
        assert (read.status, read.json, read.headers["ETag"]) == (200, created.json, '"1"')
        assert way.api("GET", path, mine, If_None_Match='"1"').status == 304
        changed = way.api(
            "PATCH", path, mine, {"status": "done"}, If_Match='"1"', Content_Type="application/merge-patch+json"
        )
        assert (changed.status, changed.json["version"]) == (200, 2)
        refused(way.api("PATCH", path, mine, {"status": "done"}, If_Match='"1"'), 412, "precondition-failed")
        assert [task["task_id"] for task in way.api("GET", "/tasks?status=done", mine).json["tasks"]] == [
            created.json["task_id"]
        ]
        refused(way.api("GET", path, f"Bearer {way.bob['IdToken']}"), 404, "not-found")
        assert way.api("DELETE", path, mine, If_Match='"2"').status == 204
        refused(way.api("GET", path, mine), 404, "not-found")

    def test_an_idempotency_key_creates_one_task(self, way: Way) -> None:
        mine = f"Bearer {way.alice['IdToken']}"
        first, second = (way.api("POST", "/tasks", mine, {"title": "T"}, Idempotency_Key="once") for _ in range(2))
        assert (first.status, second.status, first.json) == (201, 201, second.json)
        assert second.headers["Idempotency-Replayed"] == "true"
        refused(way.api("POST", "/tasks", mine, {"title": "U"}, Idempotency_Key="once"), 422, "idempotency-key-reused")

    def test_bad_input_is_refused(self, way: Way) -> None:
        mine = f"Bearer {way.alice['IdToken']}"
        refused(way.api("POST", "/tasks", mine, b"{"), 400, "malformed")
        refused(way.api("POST", "/tasks", mine, {"title": ""}), 422, "validation")
        refused(way.api("POST", "/tasks", mine, b"x", Content_Type="text/plain"), 415, "unsupported-media-type")
        refused(way.api("POST", "/tasks", mine, {"title": "x" * 70_000}), 413, "payload-too-large")
        refused(way.api("GET", "/tasks?cursor=x", mine), 400, "invalid-cursor")

    def test_pages_lead_to_the_end(self, way: Way) -> None:
        hers = f"Bearer {way.bob['IdToken']}"
        created = [way.api("POST", "/tasks", hers, {"title": str(number)}).json["task_id"] for number in range(5)]
        seen, cursor = [], ""
        while cursor is not None:
            page = way.api("GET", f"/tasks?limit=2{cursor and f'&cursor={cursor}'}", hers).json
            seen += [task["task_id"] for task in page["tasks"]]
            cursor = page["next_cursor"]
        assert seen == created[::-1]

    def test_the_board_is_for_admins(self, way: Way) -> None:
        way.api("POST", "/tasks", f"Bearer {way.alice['IdToken']}", {"title": "seen", "status": "in_progress"})
        board = way.api("GET", "/admin/tasks?status=in_progress", f"Bearer {way.admin['IdToken']}")
        assert board.status == 200
        assert jwt.decode(way.alice["IdToken"], options={"verify_signature": False})["sub"] in {
            task["owner"] for task in board.json["tasks"]
        }
        refused(way.api("GET", "/admin/tasks?status=in_progress", f"Bearer {way.alice['IdToken']}"), 403, "forbidden")


class TestOthers:
    def test_a_text_goes_out_once_and_the_sixth_of_a_minute_is_refused(self, way: Way) -> None:
        token = f"Bearer {way.machine}"

        def send(attempt: int, number: int) -> Response:
            body = {"to": f"+120255501{attempt}{number}", "message": "Hello"}
            return way.api("POST", "/sms", token, body, Idempotency_Key=f"text-{attempt}-{number}")

        for attempt in itertools.count():
            before, minute = way.api.texts(), time.time() // 60
            first, again, *others, sixth = [send(attempt, number) for number in (0, 0, 1, 2, 3, 4, 5)]
            sent = way.api.texts() - before
            if time.time() // 60 == minute:
                break
            # The limit is one of a minute, and these were sent in two: once more, from the start of the next one.
            assert attempt < 9
            time.sleep(60 - time.time() % 60)
        assert (first.status, first.json["status"]) == (202, "sent")
        assert (again.json, again.headers["Idempotency-Replayed"]) == (first.json, "true")
        assert [answer.status for answer in others] == [202] * 4
        refused(sixth, 429, "too-many-requests")
        assert sent == 5
        refused(way.api("POST", "/sms", token, {"to": "+12025550100", "message": "x"}), 400, "idempotency-key-required")

    @pytest.mark.parametrize("kind", ["IdToken", "AccessToken"])
    def test_hello_takes_both_kinds_of_token(self, way: Way, kind: str) -> None:
        answer = way.api("GET", "/hello", f"Bearer {way.alice[kind]}")
        claims = jwt.decode(way.alice[kind], options={"verify_signature": False})
        name = claims["cognito:username" if kind == "IdToken" else "username"]
        assert (answer.status, answer.json) == (200, {"message": "Hello, authenticated user!", "user": name})

    def test_health_openapi_and_docs_need_no_token(self, way: Way) -> None:
        assert way.api("GET", "/health").json["status"] == "ok"
        assert way.api("GET", "/openapi.json").json["openapi"] == "3.1.0"
        page = way.api("GET", "/docs")
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert len(page.body) > 1_000_000


class TestRefusals:
    @pytest.mark.parametrize(("method", "path"), GUARDED)
    def test_a_wrong_token_is_refused(self, way: Way, method: str, path: str) -> None:
        id_token, access_token = way.alice["IdToken"], way.alice["AccessToken"]
        machine_route, open_to_both = path == "/sms", path == "/hello"
        wrong = {
            "none": None,
            "empty": "",
            "no token": "Bearer x",
            "altered": f"Bearer {altered(way.machine if machine_route else id_token)}",
            "signed by others": f"Bearer {as_nobody_of_the_pool(way.machine if machine_route else id_token)}",
            "alg none": f"Bearer {jwt.encode(jwt.decode(id_token, options={'verify_signature': False}), '', 'none')}",
            "expired": f"Bearer {as_nobody_of_the_pool(id_token, exp=1)}",
        }
        if not open_to_both:
            wrong["the user's access token"] = f"Bearer {access_token}"
        wrong["the other caller's"] = f"Bearer {id_token if machine_route else way.machine}"
        for token in wrong.values():
            body: Any = {} if method in {"POST", "PATCH"} else None
            refused(way.api(method, path, token, body, Idempotency_Key="k"), 401, "unauthorized")

    @pytest.mark.parametrize(("method", "path"), [
        ("GET", "/nowhere"), ("PUT", "/tasks"), ("POST", "/hello"), ("GET", "/sms"), ("DELETE", "/health"), ("GET", "/admin"),
    ])  # fmt: skip
    def test_an_unknown_path_or_method_is_not_found(self, way: Way, method: str, path: str) -> None:
        refused(way.api(method, path), 404, "not-found")
        refused(way.api(method, path, "Bearer x"), 404, "not-found")

    def test_head_is_not_found(self, way: Way) -> None:
        answer = way.api("HEAD", "/health")
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"] in ORIGINS) == (404, True)

    @pytest.mark.parametrize("path", [path.replace("{task_id}", "x") for path in app.routes])
    def test_a_preflight_is_answered(self, way: Way, path: str) -> None:
        answer = way.api("OPTIONS", path, Origin="https://app.example.com", Access_Control_Request_Method="GET")
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] in ORIGINS
        headers = CORS.get_access_control_headers()
        for name in ("Access-Control-Allow-Headers", "Access-Control-Expose-Headers"):
            assert answer.headers[name] == headers[name]

    def test_the_gateway_responses_are_the_refusals_of_the_app(self, way: Way) -> None:
        origin = way.api("GET", "/health").headers["Access-Control-Allow-Origin"]
        gateway = way.api.aws.client("apigateway")
        for kind, wanted in gateway_responses.responses(origin).items():
            there = gateway.get_gateway_response(restApiId=way.api.api_id, responseType=kind)
            assert {part: there[part] for part in wanted} == wanted | {"statusCode": str(wanted["statusCode"])}


class TestTheStage:
    def test_the_stage_has_limits_logs_and_traces(self, way: Way) -> None:
        stage = way.api.aws.client("apigateway").get_stage(restApiId=way.api.api_id, stageName=way.api.stage)
        limits = json.loads(way.checkout.config_file.read_text())["stages"][way.api.stage]["parameters"]
        throttles = stage["methodSettings"]["*/*"]
        assert throttles["throttlingRateLimit"] == float(limits["RequestsPerSecond"])
        assert throttles["throttlingBurstLimit"] == int(limits["RequestsAtOnce"])
        assert stage["accessLogSettings"]["destinationArn"].endswith(f":log-group:/aws/apigateway/task-api-{way.api.stage}")
        assert "$context.requestId" in stage["accessLogSettings"]["format"]
        assert str(stage["tracingEnabled"]).lower() == "true"

    def test_the_logs_are_kept_as_long_as_the_stage_says(self, way: Way) -> None:
        wanted = json.loads(way.checkout.config_file.read_text())["stages"][way.api.stage]["parameters"][
            "LogRetentionInDays"
        ]
        groups: Any = way.api.aws.client("logs").describe_log_groups()["logGroups"]
        kept = {group["logGroupName"]: group.get("retentionInDays") for group in groups}
        name = f"task-api-{way.api.stage}"
        ours = (f"/aws/lambda/{name}", f"/aws/lambda/{name}-user_authorizer", f"/aws/apigateway/{name}")
        assert {group: kept.get(group) for group in ours} == dict.fromkeys(ours, int(wanted))

    def test_a_function_without_its_policy_cannot_read_the_table(self, way: Way) -> None:
        aws, mine = way.api.aws, f"Bearer {way.alice['IdToken']}"
        iam, functions = aws.client("iam"), aws.client("lambda")
        function = functions.get_function_configuration(FunctionName=f"task-api-{way.api.stage}")
        role = function["Role"].rpartition("/")[2]
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        less = [one for one in document["Statement"] if one["Sid"] != "Table"]
        put = {"RoleName": role, "PolicyName": name}
        iam.put_role_policy(**put, PolicyDocument=json.dumps(document | {"Statement": less}))
        try:
            refused(way.api("GET", "/tasks", mine), 503, "unavailable")
        finally:
            iam.put_role_policy(**put, PolicyDocument=json.dumps(document))
        assert way.api("GET", "/tasks", mine).status == 200

    def test_a_caller_over_the_limit_is_told_when_to_come_back(self, way: Way) -> None:
        def limit(rate: str, burst: str) -> None:
            changes = {"/*/*/throttling/rateLimit": rate, "/*/*/throttling/burstLimit": burst}
            operations = [{"op": "replace", "path": path, "value": value} for path, value in changes.items()]
            stage = {"restApiId": way.api.api_id, "stageName": way.api.stage}
            way.api.aws.client("apigateway").update_stage(**stage, patchOperations=operations)

        chosen = json.loads(way.checkout.config_file.read_text())["stages"][way.api.stage]["parameters"]
        limit("0.0001", "1")  # such that no machine is so slow that a second one is let through
        try:
            answers = [way.api("GET", "/health") for _ in range(3)]
        finally:
            limit(chosen["RequestsPerSecond"], chosen["RequestsAtOnce"])
        refused(answers[-1], 429, "too-many-requests")

    def test_a_failing_authorizer_gives_503(self, way: Way) -> None:
        functions = way.api.aws.client("lambda")
        name = {"FunctionName": f"task-api-{way.api.stage}-user_authorizer"}
        functions.update_function_configuration(**name, Handler="app.nobody")
        try:
            refused(way.api("GET", "/hello", f"Bearer {way.alice['IdToken']}"), 503, "unavailable")
        finally:
            functions.update_function_configuration(**name, Handler="app.user_authorizer")
        assert way.api("GET", "/hello", f"Bearer {way.alice['IdToken']}").status == 200


class TestTheLogs:
    def test_the_logs_name_each_route_and_no_caller(self, way: Way) -> None:
        end = time.monotonic() + PATIENCE
        routes: set[str] = set()
        while routes != app.routes.keys() and time.monotonic() < end:
            way.api("GET", "/health")  # ministack may keep the last line of a function until its next request
            text = way.api.logs()
            routes = {route for route in app.routes if f'"route":"{route}"' in text}
        assert routes == app.routes.keys()
        before = leaks.FOUND.copy()
        leaks.logged(text, *way.api.sent)
        assert before == leaks.FOUND
