"""Smoke test of each deployment: sign-in, every route, every gateway response, the settings of the stage."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jwt
import pytest

from app import app
from chalicelib.http.api import CORS
from tests.support import deployments, leaks, pool
from tests.support.emulator import Checkout, Deployed, run_emulator
from tests.support.local_server import TIMEOUT
from tests.support.people import Response
from tools.deploy import gateway_responses


class Stage(NamedTuple):
    """A deployed stage, with the tokens of its callers."""

    checkout: Checkout
    api: Deployed
    alice: dict[str, str]
    bob: dict[str, str]
    admin: dict[str, str]
    machine: str


@pytest.fixture(scope="module", params=deployments.DEPLOYMENTS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp(request.param)
    with run_emulator(folder) as emulator:
        checkout, api = deployments.DEPLOYMENTS[request.param](folder, emulator)
        alice, bob = api.sign_up("alice@example.com"), api.sign_up("bob@example.com")
        yield Stage(checkout, api, alice, bob, api.sign_up("admin@example.com", "admin"), api.machine_token())


TASK = "/tasks/01a1f8ac-b459-7dd5-a160-0ddd8d7fcf8f"
ORIGINS = {"http://localhost:3000", "https://app.example.com"}
GUARDED = [
    (method, re.sub("{.*?}", TASK.rpartition("/")[2], path))
    for path, entries in app.routes.items()
    for method, entry in entries.items()
    if entry.authorizer
]


def assert_problem(response: Response, status: int, slug: str) -> None:
    """Check the members and headers of a problem, and that a browser may read it."""
    assert (response.status, response.json["type"], response.json["status"]) == (status, f"urn:problem:{slug}", status)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json["instance"] == response.headers["X-Request-Id"]
    assert response.headers["Access-Control-Allow-Origin"] in ORIGINS
    assert response.headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in response.headers) == (status in {429, 503})


def altered(token: str) -> str:
    head, body, signature = token.split(".")
    return ".".join([head, body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB"), signature])


def signed_with_another_key(token: str, **changes: object) -> str:
    """Return a token with the claims and the key id of this one, signed with a key outside the pool."""
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    return jwt.encode(claims, pool.KEYS["for-id"], "RS256", {"kid": jwt.get_unverified_header(token)["kid"]})


class TestTasks:
    def test_a_task_is_created_read_changed_and_deleted(self, stage: Stage) -> None:
        mine = f"Bearer {stage.alice['IdToken']}"
        created = stage.api("POST", "/tasks", mine, {"title": "Buy milk", "due_at": "2030-01-31T10:00:00+01:00"})
        assert created.status == 201
        path = f"/tasks/{created.json['task_id']}"
        assert created.headers["Location"] == f"/{stage.api.stage}{path}"
        read = stage.api("GET", path, stage.alice["IdToken"])  # without the word Bearer
        assert (read.status, read.json, read.headers["ETag"]) == (200, created.json, '"1"')
        assert stage.api("GET", path, mine, If_None_Match='"1"').status == 304
        changed = stage.api(
            "PATCH", path, mine, {"status": "done"}, If_Match='"1"', Content_Type="application/merge-patch+json"
        )
        assert (changed.status, changed.json["version"]) == (200, 2)
        assert_problem(stage.api("PATCH", path, mine, {"status": "done"}, If_Match='"1"'), 412, "precondition-failed")
        assert [task["task_id"] for task in stage.api("GET", "/tasks?status=done", mine).json["tasks"]] == [
            created.json["task_id"]
        ]
        assert_problem(stage.api("GET", path, f"Bearer {stage.bob['IdToken']}"), 404, "not-found")
        assert stage.api("DELETE", path, mine, If_Match='"2"').status == 204
        assert_problem(stage.api("GET", path, mine), 404, "not-found")

    def test_an_idempotency_key_creates_one_task(self, stage: Stage) -> None:
        mine = f"Bearer {stage.alice['IdToken']}"
        first, second = (stage.api("POST", "/tasks", mine, {"title": "T"}, Idempotency_Key="once") for _ in range(2))
        assert (first.status, second.status, first.json) == (201, 201, second.json)
        assert second.headers["Idempotency-Replayed"] == "true"
        assert_problem(
            stage.api("POST", "/tasks", mine, {"title": "U"}, Idempotency_Key="once"), 422, "idempotency-key-reused"
        )

    def test_invalid_input_is_rejected(self, stage: Stage) -> None:
        mine = f"Bearer {stage.alice['IdToken']}"
        assert_problem(stage.api("POST", "/tasks", mine, b"{"), 400, "malformed")
        assert_problem(stage.api("POST", "/tasks", mine, {"title": ""}), 422, "validation")
        assert_problem(stage.api("POST", "/tasks", mine, b"x", Content_Type="text/plain"), 415, "unsupported-media-type")
        assert_problem(stage.api("POST", "/tasks", mine, {"title": "x" * 70_000}), 413, "payload-too-large")
        assert_problem(stage.api("GET", "/tasks?cursor=x", mine), 400, "invalid-cursor")

    @pytest.mark.parametrize("query", ["", "&status=pending", "&status=pending&due_after=2030-01-01T00:00:00Z"])
    def test_the_pages_of_a_list_contain_every_task_in_order(self, stage: Stage, query: str) -> None:
        token = f"Bearer {stage.api.sign_up(f'carol{time.time_ns()}@example.com')['IdToken']}"
        created = [
            stage.api("POST", "/tasks", token, {"title": "T", "due_at": f"2030-01-0{day}T00:00:00Z"}).json
            for day in range(1, 6)
        ]
        assert follow(stage, f"/tasks?limit=2{query}", token) == (created if query else created[::-1])

    def test_the_board_lists_the_tasks_of_all_users_oldest_first_for_admins_only(self, stage: Stage) -> None:
        created = [
            stage.api("POST", "/tasks", f"Bearer {user['IdToken']}", {"title": "T", "status": "in_progress"}).json
            | {"owner": jwt.decode(user["IdToken"], options={"verify_signature": False})["sub"]}
            for user in (stage.alice, stage.bob, stage.alice)
        ]
        path = "/admin/tasks?status=in_progress"
        assert follow(stage, f"{path}&limit=2", f"Bearer {stage.admin['IdToken']}") == created
        assert_problem(stage.api("GET", path, f"Bearer {stage.alice['IdToken']}"), 403, "forbidden")


def follow(stage: Stage, path: str, token: str) -> list[Any]:
    """Return the tasks on all pages of a list."""
    tasks, cursor = [], ""
    while cursor is not None:
        page = stage.api("GET", path + (cursor and f"&cursor={cursor}"), token).json
        tasks += page["tasks"]
        cursor = page["next_cursor"]
    return tasks


class TestOtherRoutes:
    def test_an_sms_message_is_sent_once_and_the_sixth_in_a_minute_is_rejected(self, stage: Stage) -> None:
        token = f"Bearer {stage.machine}"

        def send(attempt: int, number: int) -> Response:
            body = {"to": f"+120255501{attempt}{number}", "message": "Hello"}
            return stage.api("POST", "/sms", token, body, Idempotency_Key=f"sms-{attempt}-{number}")

        for attempt in itertools.count():
            before, minute = stage.api.count_sms_messages(), time.time() // 60
            first, again, *others, sixth = [send(attempt, number) for number in (0, 0, 1, 2, 3, 4, 5)]
            sent = stage.api.count_sms_messages() - before
            if time.time() // 60 == minute:
                break
            # The limit is per minute, and these were sent in two of them: retry at the start of the next one.
            assert attempt < 9
            time.sleep(60 - time.time() % 60)
        assert (first.status, first.json["status"]) == (202, "sent")
        assert (again.json, again.headers["Idempotency-Replayed"]) == (first.json, "true")
        assert [response.status for response in others] == [202] * 4
        assert_problem(sixth, 429, "too-many-requests")
        assert sent == 5
        assert_problem(
            stage.api("POST", "/sms", token, {"to": "+12025550100", "message": "x"}), 400, "idempotency-key-required"
        )

    @pytest.mark.parametrize("kind", ["IdToken", "AccessToken"])
    def test_hello_accepts_id_tokens_and_access_tokens(self, stage: Stage, kind: str) -> None:
        response = stage.api("GET", "/hello", f"Bearer {stage.alice[kind]}")
        claims = jwt.decode(stage.alice[kind], options={"verify_signature": False})
        name = claims["cognito:username" if kind == "IdToken" else "username"]
        assert (response.status, response.json) == (200, {"message": "Hello, authenticated user!", "user": name})

    def test_the_root_health_openapi_and_docs_need_no_token(self, stage: Stage) -> None:
        links = stage.api("GET", "/").json
        assert links["docs"].endswith(f"/{stage.api.stage}/docs")
        assert links["docs"].removesuffix("/docs") == stage.api("GET", "/openapi.json").json["servers"][0]["url"]
        assert stage.api("GET", "/health").json["status"] == "ok"
        assert stage.api("GET", "/openapi.json").json["openapi"] == "3.1.0"
        page = stage.api("GET", "/docs")
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert len(page.body) > 1_000_000
        assert b"No sign-in waits for this page" in stage.api("GET", "/docs/signed-in").body


class TestRefusals:
    @pytest.mark.parametrize(("method", "path"), GUARDED)
    def test_a_wrong_token_is_refused(self, stage: Stage, method: str, path: str) -> None:
        id_token, access_token = stage.alice["IdToken"], stage.alice["AccessToken"]
        machine_route, open_to_both = path == "/sms", path == "/hello"
        wrong = {
            "none": None,
            "empty": "",
            "no token": "Bearer x",
            "altered": f"Bearer {altered(stage.machine if machine_route else id_token)}",
            "signed by others": f"Bearer {signed_with_another_key(stage.machine if machine_route else id_token)}",
            "alg none": f"Bearer {jwt.encode(jwt.decode(id_token, options={'verify_signature': False}), '', 'none')}",
            "expired": f"Bearer {signed_with_another_key(id_token, exp=1)}",
        }
        if not open_to_both:
            wrong["the user's access token"] = f"Bearer {access_token}"
        wrong["the other caller's"] = f"Bearer {id_token if machine_route else stage.machine}"
        for token in wrong.values():
            body: Any = {} if method in {"POST", "PATCH"} else None
            assert_problem(stage.api(method, path, token, body, Idempotency_Key="k"), 401, "unauthorized")

    @pytest.mark.parametrize(("method", "path"), [
        ("GET", "/nowhere"), ("PUT", "/tasks"), ("POST", "/hello"), ("GET", "/sms"), ("DELETE", "/health"), ("GET", "/admin"),
    ])  # fmt: skip
    def test_an_unknown_path_or_method_is_not_found(self, stage: Stage, method: str, path: str) -> None:
        assert_problem(stage.api(method, path), 404, "not-found")
        assert_problem(stage.api(method, path, "Bearer x"), 404, "not-found")

    def test_a_head_request_is_not_found(self, stage: Stage) -> None:
        response = stage.api("HEAD", "/health")
        assert (response.status, response.headers["Access-Control-Allow-Origin"] in ORIGINS) == (404, True)

    @pytest.mark.parametrize("path", [path.replace("{task_id}", "x") for path in app.routes])
    def test_a_preflight_succeeds_on_every_route(self, stage: Stage, path: str) -> None:
        response = stage.api("OPTIONS", path, Origin="https://app.example.com", Access_Control_Request_Method="GET")
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] in ORIGINS
        headers = CORS.get_access_control_headers()
        for name in ("Access-Control-Allow-Headers", "Access-Control-Expose-Headers"):
            assert response.headers[name] == headers[name]

    def test_the_preflights_allow_every_origin_of_the_stage(self, stage: Stage) -> None:
        (origin,) = ORIGINS & {stage.api("GET", "/health").headers["Access-Control-Allow-Origin"]}
        gateway = stage.api.emulator.client("apigateway")
        resources = gateway.get_resources(restApiId=stage.api.api_id, limit=500)["items"]
        with_preflight = [resource for resource in resources if "OPTIONS" in resource.get("resourceMethods", {})]
        assert {resource["path"] for resource in with_preflight} == app.routes.keys()
        for resource in with_preflight:
            names = {
                "restApiId": stage.api.api_id,
                "resourceId": resource["id"],
                "httpMethod": "OPTIONS",
                "statusCode": "200",
            }
            deployed = gateway.get_integration_response(**names)
            assert deployed["responseTemplates"] == gateway_responses.preflight(origin)

    def test_the_gateway_responses_are_deployed(self, stage: Stage) -> None:
        origin = stage.api("GET", "/health").headers["Access-Control-Allow-Origin"]
        gateway = stage.api.emulator.client("apigateway")
        for kind, wanted in gateway_responses.responses(origin).items():
            deployed = gateway.get_gateway_response(restApiId=stage.api.api_id, responseType=kind)
            assert {part: deployed[part] for part in wanted} == wanted | {"statusCode": str(wanted["statusCode"])}


class TestTheStage:
    def test_the_stage_has_limits_logs_and_traces(self, stage: Stage) -> None:
        properties = stage.api.emulator.client("apigateway").get_stage(restApiId=stage.api.api_id, stageName=stage.api.stage)
        limits = json.loads(stage.checkout.config_file.read_text())["stages"][stage.api.stage]["parameters"]
        throttles = properties["methodSettings"]["*/*"]
        assert throttles["throttlingRateLimit"] == float(limits["RequestsPerSecond"])
        assert throttles["throttlingBurstLimit"] == int(limits["RequestsAtOnce"])
        assert properties["accessLogSettings"]["destinationArn"].endswith(
            f":log-group:/aws/apigateway/task-api-{stage.api.stage}"
        )
        assert "$context.requestId" in properties["accessLogSettings"]["format"]
        assert str(properties["tracingEnabled"]).lower() == "true"

    def test_the_log_groups_have_the_retention_of_the_stage(self, stage: Stage) -> None:
        wanted = json.loads(stage.checkout.config_file.read_text())["stages"][stage.api.stage]["parameters"][
            "LogRetentionInDays"
        ]
        groups: Any = stage.api.emulator.client("logs").describe_log_groups()["logGroups"]
        kept = {group["logGroupName"]: group.get("retentionInDays") for group in groups}
        name = f"task-api-{stage.api.stage}"
        ours = (f"/aws/lambda/{name}", f"/aws/lambda/{name}-user_authorizer", f"/aws/apigateway/{name}")
        assert {group: kept.get(group) for group in ours} == dict.fromkeys(ours, int(wanted))

    def test_a_function_without_its_policy_cannot_read_the_table(self, stage: Stage) -> None:
        emulator, mine = stage.api.emulator, f"Bearer {stage.alice['IdToken']}"
        iam, functions = emulator.client("iam"), emulator.client("lambda")
        function = functions.get_function_configuration(FunctionName=f"task-api-{stage.api.stage}")
        role = function["Role"].rpartition("/")[2]
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        less = [one for one in document["Statement"] if one["Sid"] != "Table"]
        put = {"RoleName": role, "PolicyName": name}
        iam.put_role_policy(**put, PolicyDocument=json.dumps(document | {"Statement": less}))
        try:
            assert_problem(stage.api("GET", "/tasks", mine), 503, "unavailable")
        finally:
            iam.put_role_policy(**put, PolicyDocument=json.dumps(document))
        assert stage.api("GET", "/tasks", mine).status == 200

    def test_a_request_over_the_rate_limit_gets_429_with_retry_after(self, stage: Stage) -> None:
        parameters = json.loads(stage.checkout.config_file.read_text())["stages"][stage.api.stage]["parameters"]
        stage.api.limit_rate(0.0001, 1)  # no second request passes, however slow the machine is
        try:
            responses = [stage.api("GET", "/health") for _ in range(3)]
        finally:
            stage.api.limit_rate(parameters["RequestsPerSecond"], parameters["RequestsAtOnce"])
        assert_problem(responses[-1], 429, "too-many-requests")

    def test_a_failing_authorizer_gives_503(self, stage: Stage) -> None:
        functions = stage.api.emulator.client("lambda")
        name = {"FunctionName": f"task-api-{stage.api.stage}-user_authorizer"}
        functions.update_function_configuration(**name, Handler="app.missing")
        try:
            assert_problem(stage.api("GET", "/hello", f"Bearer {stage.alice['IdToken']}"), 503, "unavailable")
        finally:
            functions.update_function_configuration(**name, Handler="app.user_authorizer")
        assert stage.api("GET", "/hello", f"Bearer {stage.alice['IdToken']}").status == 200


class TestTheLogs:
    def test_the_logs_name_each_route_and_no_caller(self, stage: Stage) -> None:
        end = time.monotonic() + TIMEOUT
        routes: set[str] = set()
        while routes != app.routes.keys() and time.monotonic() < end:
            stage.api("GET", "/health")  # ministack may hold back the last line of a function until its next request
            text = stage.api.logs()
            routes = {route for route in app.routes if f'"route":"{route}"' in text}
        assert routes == app.routes.keys()
        leaks.check_log(text, *stage.api.sent)
