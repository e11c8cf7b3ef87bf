"""/docs in Chromium: Authorize signs in with PKCE, and what is sent from the page carries the token."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person
from tests.support.local_server import LocalServer


@pytest.fixture
def reader(new_person: Callable[..., Person]) -> Person:
    """Return a person who has opened /docs and is not signed in."""
    person = new_person(signed_in=False)
    person.page.goto(f"{person.server.url}/docs")
    person.page.get_by_role("button", name="Authorize").wait_for()
    return person


def authorize(person: Person) -> None:
    """Sign in by the dialog of the page."""
    person.page.get_by_role("button", name="Authorize").click()
    dialog = person.page.locator(".auth-container", has_text="authorizationCode")
    with person.page.context.expect_page() as opened:
        dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
    window = opened.value
    with window.expect_event("close"):
        person.fill_in_password(window)
    expect(dialog.get_by_role("button", name="Remove authorization")).to_be_visible()
    person.page.locator(".modal-ux .btn-done").first.click()


def try_out(person: Person, operation: str) -> tuple[int, Any]:
    """Send an operation from the page as it stands, without what is optional; return status and JSON body of the response."""
    block = person.page.locator(f"#operations-{operation}")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    with person.page.expect_response(lambda response: response.request.resource_type == "fetch") as received:
        block.get_by_role("button", name="Execute").click()
    request = received.value.request
    assert parse_qs(urlsplit(request.url).query).keys() <= {"limit"}  # which has a default
    assert not request.headers.keys() & {"if-match", "if-none-match"}
    return received.value.status, received.value.json()


def test_authorize_signs_in_and_try_it_out_works(reader: Person) -> None:
    authorize(reader)
    status, task = try_out(reader, "tasks-create_task")
    assert (status, task["title"]) == (201, "Buy milk")
    status, page = try_out(reader, "tasks-list_tasks")
    assert (status, [one["task_id"] for one in page["tasks"]]) == (200, [task["task_id"]])
    assert try_out(reader, "service-hello")[0] == 200  # which has an authorizer of its own
    assert try_out(reader, "tasks-read_task")[0] == 404  # that of the example


def test_nothing_is_authorized_before(reader: Person) -> None:
    assert try_out(reader, "service-hello")[0] == 401


def test_the_sign_in_is_by_code_with_pkce_and_without_a_secret(reader: Person) -> None:
    requests: list[Any] = []
    reader.page.context.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - Playwright marks the function
    authorize(reader)
    sent = {urlsplit(one.url).path: one for one in requests}
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent["/oauth2/authorize"].url).query).items()}
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert "scope" not in asked  # so that Cognito grants all scopes of the client, and gives an ID token
    assert asked["redirect_uri"] == f"{reader.server.url}/docs/signed-in"
    form = parse_qs(sent["/oauth2/token"].post_data)
    assert form.keys() == {"grant_type", "code", "client_id", "redirect_uri", "code_verifier"}
    assert "authorization" not in sent["/oauth2/token"].headers


def test_a_code_that_was_not_asked_for_is_not_used(reader: Person) -> None:
    requests: list[Any] = []
    reader.page.context.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - Playwright marks the function
    reader.page.get_by_role("button", name="Authorize").click()
    dialog = reader.page.locator(".auth-container", has_text="authorizationCode")
    with reader.page.context.expect_page() as opened:
        dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
    window = opened.value
    with window.expect_event("close"):
        window.evaluate(
            "(url) => setTimeout(() => location.assign(url))", f"{reader.server.url}/docs/signed-in?code=stolen&state=x"
        )
    expect(dialog).to_contain_text("was not started here. Try again.")
    assert [one for one in requests if "/oauth2/token" in one.url] == []


def test_the_page_at_the_end_says_what_to_do_if_no_sign_in_waits(reader: Person) -> None:
    page = reader.open_tab()
    page.goto(f"{reader.server.url}/docs/signed-in?code=abc&state=def")
    expect(page.locator("body")).to_have_text("No sign-in waits for this page. Open the documentation and choose Authorize.")


def test_a_machine_gets_its_token_in_the_page(reader: Person, server: LocalServer) -> None:
    settings = server.settings()
    names = {"UserPoolId": settings["USER_POOL_ARN"].rpartition("/")[2], "ClientId": settings["MACHINE_CLIENT_IDS"]}
    secret = server.client("cognito-idp").describe_user_pool_client(**names)["UserPoolClient"]["ClientSecret"]
    reader.page.get_by_role("button", name="Authorize").click()
    dialog = reader.page.locator(".auth-container", has_text="clientCredentials")
    dialog.get_by_label("client_id").fill(names["ClientId"])
    dialog.get_by_label("client_secret").fill(secret)
    dialog.locator("label", has_text="task-api/sms").click()
    dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(dialog.get_by_role("button", name="Remove authorization")).to_be_visible()
    reader.page.locator(".modal-ux .btn-done").first.click()
    status, receipt = try_out(reader, "sms-send_sms")
    assert (status, receipt["status"]) == (202, "sent"), json.dumps(receipt)
