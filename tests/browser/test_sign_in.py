"""Sign-in, its attacks, and its end."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person


def test_a_sign_in_leads_to_the_board_and_leaves_no_token_behind(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.page.goto(alice.app)
    expect(alice.page.get_by_role("heading", name="Tasks")).to_be_visible()
    alice.sign_in()
    expect(alice.column("pending")).to_be_visible()
    assert alice.page.url == f"{alice.app}/"
    assert alice.page.evaluate("[Object.entries(localStorage), sessionStorage.length, document.cookie]") == [
        [["signed-in", "yes"]],
        0,
        "",
    ]
    (exchange,) = alice.sent("POST", "/oauth2/token")
    (request,) = alice.sent("GET", "/oauth2/authorize")
    assert len(parse_qs(exchange.post_data)["code_verifier"][0]) == 43
    assert "code_challenge_method=S256" in request.url


def test_a_wrong_password_is_refused(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.password += "x"
    alice.page.goto(alice.app)
    alice.page.get_by_role("button", name="Sign in").click()
    alice.fill_in_password(alice.page)
    expect(alice.page.get_by_text("Incorrect username or password")).to_be_visible()


def test_a_reload_signs_in_again_without_a_password_and_keeps_the_view(alice: Person) -> None:
    alice.page.get_by_role("link", name="List").click()
    alice.page.reload()
    expect(alice.page.get_by_role("heading", name="List")).to_be_attached()
    assert alice.page.url == f"{alice.app}/#list"
    assert len(alice.sent("POST", "/login")) == 1


def test_a_second_tab_needs_no_password(alice: Person) -> None:
    second = alice.open_tab()
    second.goto(alice.app)
    expect(alice.column("pending", second)).to_be_visible()
    assert len(alice.sent("POST", "/login")) == 1


def test_signing_out_ends_the_session_of_the_page_of_the_pool_and_of_other_tabs(alice: Person) -> None:
    answers: list[Any] = []
    alice.page.on("response", lambda response: answers.append(response) if "/oauth2/token" in response.url else None)
    alice.page.reload()
    expect(alice.column("pending")).to_be_visible()
    refresh = answers[-1].json()["refresh_token"]
    second = alice.open_tab()
    second.goto(alice.app)
    expect(alice.column("pending", second)).to_be_visible()

    alice.page.get_by_role("button", name="Account of").click()
    alice.page.get_by_role("button", name="Sign out").click()
    alice.page.get_by_role("button", name="Sign in").click()
    expect(alice.page.get_by_label("Password")).to_be_visible()
    expect(second.get_by_text("You are signed out.")).to_be_visible()
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": alice.server.settings()["WEB_CLIENT_ID"]}
    answer = alice.context.request.post(f"http://127.0.0.1:{alice.server.aws_port}/oauth2/token", form=form)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")


def test_a_token_is_renewed_before_it_expires(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.page.clock.install()
    alice.sign_in()
    alice.add("First")
    alice.page.clock.fast_forward("59:10")
    alice.add("Second")
    grants = [parse_qs(one.post_data)["grant_type"] for one in alice.sent("POST", "/oauth2/token")]
    assert grants == [["authorization_code"], ["refresh_token"]]
    assert [task["title"] for task in alice.stored()] == ["Second", "First"]


def test_what_was_typed_and_not_sent_outlives_the_session(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.page.clock.install()
    alice.sign_in()
    for title in ("Letter", "Form", "Walk"):
        alice.add(title)
    alice.open_editor("Letter").get_by_label("Notes").fill("Dear Bob")
    pool = alice.server.settings()["USER_POOL_ARN"].rpartition("/")[2]
    alice.server.client("cognito-idp").admin_user_global_sign_out(UserPoolId=pool, Username=alice.email)
    alice.context.set_offline(True)
    alice.page.clock.fast_forward("59:10")
    alice.page.get_by_label("New task", exact=True).fill("Unsent")
    alice.page.keyboard.press("Enter")
    alice.page.get_by_role("button", name="Finish Walk").click()
    alice.page.get_by_label("New task", exact=True).fill("Typed")
    expect(alice.page.get_by_text("You are offline.")).to_be_visible()
    alice.context.set_offline(False)
    expect(alice.page.get_by_text("Your session has ended. Sign in again")).to_be_visible()

    alice.page.get_by_role("button", name="Sign in").click()
    expect(alice.column("done").get_by_role("article", name="Walk")).to_be_visible()
    expect(alice.page.locator("article[aria-busy=false]", has_text="Unsent")).to_be_visible()
    expect(alice.page.get_by_label("New task", exact=True)).to_have_value("Typed")
    expect(alice.page.get_by_label("Notes")).to_have_value("Dear Bob")
    assert alice.page.evaluate("sessionStorage.length") == 0
    titles = {task["title"]: task["status"] for task in alice.stored()}
    assert titles == {"Unsent": "pending", "Walk": "done", "Form": "pending", "Letter": "pending"}


def test_a_sign_in_page_that_is_busy_does_not_end_the_session(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.page.clock.install()
    alice.sign_in()
    headers = {"Access-Control-Allow-Origin": alice.app}
    alice.page.route("**/oauth2/token", lambda route: route.fulfill(status=503, headers=headers), times=1)
    alice.page.clock.fast_forward("59:10")
    alice.page.get_by_label("New task", exact=True).fill("Patience")
    alice.page.keyboard.press("Enter")
    expect(alice.page.get_by_text("The API cannot be reached.")).to_be_visible()
    alice.page.clock.fast_forward(2000)
    expect(alice.page.locator("article[aria-busy=false]", has_text="Patience")).to_be_visible()


def test_a_token_that_the_api_refuses_is_renewed_even_if_that_takes_two_attempts(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.page.clock.install()
    alice.sign_in()
    expect(alice.column("pending").get_by_text("Nothing waits.")).to_be_visible()
    headers = {"Access-Control-Allow-Origin": alice.app}
    refused: list[str] = []

    def refuse(route: Any) -> Any:
        if route.request.method != "POST" or refused:
            return route.continue_()
        refused.append(route.request.url)
        return route.fulfill(status=401, headers=headers)

    alice.page.route(f"{alice.server.url}/tasks", refuse)
    alice.page.route("**/oauth2/token", lambda route: route.abort("connectionreset"), times=1)
    alice.page.get_by_label("New task", exact=True).fill("Once")
    alice.page.keyboard.press("Enter")
    expect(alice.page.get_by_text("The API cannot be reached.")).to_be_visible()
    alice.page.clock.fast_forward(2000)
    expect(alice.page.locator("article[aria-busy=false]", has_text="Once")).to_be_visible()
    assert [task["title"] for task in alice.stored()] == ["Once"]


def test_a_sign_out_sends_the_deletions_that_could_be_taken_back_and_forgets_what_was_typed(alice: Person) -> None:
    alice.add("Old")
    alice.page.get_by_label("New task", exact=True).fill("Secret")
    alice.task("Old").press("Delete")
    alice.page.get_by_role("button", name="Account of").click()
    alice.page.get_by_role("button", name="Sign out").click()
    expect(alice.page.get_by_role("button", name="Sign in")).to_be_visible()
    assert alice.stored() == []
    assert alice.page.evaluate("Object.keys({...localStorage, ...sessionStorage})") == []


def test_the_api_may_be_behind_a_base_path(new_person: Callable[..., Person]) -> None:
    """As on a domain of one's own: every request has the base path, and what the page does works."""
    alice = new_person(signed_in=False)
    config = alice.page.request.get(f"{alice.app}/config.json").json()
    behind = f"{config['api']}/v1"

    def forward(route: Any) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.replace(behind, config["api"], 1)))

    alice.page.route("**/config.json", lambda route: route.fulfill(json=config | {"api": behind}))
    alice.page.route(f"{config['api']}/**", lambda route: route.abort())
    alice.page.route(f"{behind}/**", forward)  # the route that is added last decides
    alice.sign_in()
    alice.add("Behind")
    form = alice.open_editor("Behind")
    form.get_by_label("Title").fill("Changed")
    form.get_by_role("button", name="Save").click()
    expect(alice.page.locator("article[aria-busy=false]", has_text="Changed")).to_be_visible()
    assert [task["title"] for task in alice.stored()] == ["Changed"]


@pytest.mark.parametrize("status", [404, 200])
def test_a_missing_configuration_is_told_even_if_the_host_sends_a_page_for_it(
    new_person: Callable[..., Person], status: int
) -> None:
    alice = new_person(signed_in=False)
    alice.page.route("**/config.json", lambda route: route.fulfill(status=status, body="<!doctype html>"))
    alice.page.goto(alice.app)
    expect(alice.page.get_by_text("config.json is missing beside this page.")).to_be_visible()
    alice.errors.clear()  # it is reported to the console as well


class TestAttacks:
    def test_a_code_that_this_tab_did_not_ask_for_is_not_used(self, new_person: Callable[..., Person]) -> None:
        """Otherwise a link could sign a person in to the attacker's account, who would read what is written there."""
        mallory, bob = new_person(signed_in=False), new_person(signed_in=False)
        form = {
            "client_id": mallory.server.settings()["WEB_CLIENT_ID"], "redirect_uri": f"{mallory.app}/callback", "response_type": "code",
            "scope": "openid email profile", "state": "stolen", "code_challenge": "x" * 43, "code_challenge_method": "S256",
            "username": mallory.email, "password": mallory.password,
        }  # fmt: skip
        pages = f"http://127.0.0.1:{mallory.server.aws_port}"
        link = mallory.context.request.post(f"{pages}/login", form=form, max_redirects=0).headers["location"]
        assert "state=stolen" in link
        for url in (link, re.sub("state=[^&]*", "", link)):
            bob.page.goto(url)
            expect(bob.page.get_by_role("alert")).to_contain_text("was not started in this tab")
            assert "code" not in bob.page.url
        assert bob.sent("POST", "/oauth2/token") == []
        bob.sign_in()  # and it does not keep bob from signing in

    def test_a_code_is_good_for_one_use(self, alice: Person) -> None:
        (callback,) = [one.url for one in alice.requests if "/callback?" in one.url]
        alice.page.goto(callback)
        expect(alice.page.get_by_role("alert")).to_contain_text("was not started in this tab")

    def test_an_error_of_the_sign_in_page_is_told_and_not_repeated(self, new_person: Callable[..., Person]) -> None:
        alice = new_person(signed_in=False)
        alice.page.goto(f"{alice.app}/callback?error=access_denied&error_description=Call+555-0100&state=x")
        expect(alice.page.get_by_role("alert")).to_be_visible()
        assert "555" not in alice.page.content()

    def test_text_of_a_task_is_text_and_never_markup(self, alice: Person) -> None:
        attacks = [
            '<img src=x onerror="window.hacked=1">', "<script>window.hacked=1</script>", '"><svg onload=window.hacked=1>',
            "javascript:window.hacked=1", "{{constructor.constructor('window.hacked=1')()}}", "${window.hacked=1}",
        ]  # fmt: skip
        for attack in attacks:
            alice.call("POST", "/tasks", {"title": attack, "description": attack})
        alice.page.reload()
        for attack in attacks:
            expect(alice.task(attack).locator(".note")).to_have_text(attack)
        assert alice.page.evaluate("window.hacked") is None
        assert alice.page.locator("main :is(img, script, a, iframe)").count() == 0

    def test_the_page_cannot_be_framed_and_runs_only_its_own_scripts(self, alice: Person) -> None:
        headers = alice.context.request.get(alice.app).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        script = "const s = document.createElement('div'); try { s.innerHTML = '<b>x</b>'; } catch (e) { e.name }"
        assert alice.page.evaluate(script) == "TypeError"
        alice.errors.clear()  # the browser reports what it refused
