"""What the page does when others change the same task, when answers are lost, and when the API or the network is away."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person

DIALOG = "was changed elsewhere"


@pytest.fixture
def two_tabs(alice: Person) -> tuple[Person, Any]:
    """Show the same task, which is at version 1, in two tabs."""
    alice.add("Shared")
    second = alice.open_tab()
    second.goto(alice.app)
    expect(alice.task("Shared", second)).to_be_visible()
    return alice, second


def rename(alice: Person, page: Any, title: str) -> None:
    """Save another title for the shared task."""
    form = alice.open_editor("Shared", page)
    form.get_by_label("Title").fill(title)
    form.get_by_role("button", name="Save").click()


class TestConflicts:
    @pytest.mark.parametrize(("choice", "title", "version"), [("Keep yours", "Mine", 3), ("Keep theirs", "Theirs", 2)])
    def test_a_change_that_meets_a_newer_version_shows_both(
        self, two_tabs: tuple[Person, Any], choice: str, title: str, version: int
    ) -> None:
        alice, second = two_tabs
        rename(alice, second, "Theirs")
        expect(alice.task("Theirs", second)).to_be_visible()
        rename(alice, alice.page, "Mine")
        dialog = alice.page.get_by_role("dialog")
        expect(dialog.get_by_role("row", name="Title Mine Theirs")).to_have_class("differs")
        expect(dialog.get_by_role("row", name="Status Pending Pending")).not_to_have_class("differs")
        dialog.get_by_role("button", name=choice).click()
        expect(alice.task(title)).to_be_visible()
        assert [(task["title"], task["version"]) for task in alice.stored()] == [(title, version)]

    def test_the_choice_shows_what_will_be_stored(self, two_tabs: tuple[Person, Any]) -> None:
        alice, second = two_tabs
        (task,) = alice.stored()
        alice.call("PATCH", f"/tasks/{task['task_id']}", {"title": "Theirs", "status": "done", "description": "Theirs too"})
        alice.open_editor("Shared").get_by_label("Title").fill("Mine")
        alice.page.get_by_role("button", name="Save").click()
        dialog = alice.page.get_by_role("dialog")
        expect(dialog.get_by_role("row", name="Status Done Done")).to_be_visible()
        dialog.get_by_role("button", name="Keep yours").click()
        expect(alice.column("done").get_by_role("article", name="Mine")).to_contain_text("Theirs too")

        second.get_by_role("button", name="Finish Shared").click()  # which is what the others did as well
        expect(second.get_by_role("article", name="Mine")).to_be_visible()
        expect(second.get_by_role("dialog")).to_have_count(0)

    @pytest.mark.parametrize(("choice", "left"), [("Delete it", []), ("Keep it", ["Theirs"])])
    def test_a_deletion_that_meets_a_newer_version_asks(
        self, new_person: Callable[..., Person], choice: str, left: list[str]
    ) -> None:
        alice = new_person(signed_in=False)
        alice.page.clock.install()
        alice.sign_in()
        alice.add("Shared")
        (task,) = alice.stored()
        alice.task("Shared").press("Delete")
        alice.call("PATCH", f"/tasks/{task['task_id']}", {"title": "Theirs"})
        alice.page.clock.fast_forward(10_000)
        expect(alice.page.get_by_role("dialog")).to_contain_text("Delete it all the same?")
        alice.page.get_by_role("button", name=choice).click()
        expect(alice.page.get_by_role("article")).to_have_count(len(left))
        assert [task["title"] for task in alice.stored()] == left

    def test_a_task_that_was_deleted_elsewhere_disappears_and_says_so(self, two_tabs: tuple[Person, Any]) -> None:
        alice, _ = two_tabs
        (task,) = alice.stored()
        alice.call("DELETE", f"/tasks/{task['task_id']}")
        alice.page.get_by_role("button", name="Finish Shared").click()
        expect(alice.page.get_by_text("“Shared” was deleted elsewhere.")).to_be_visible()
        expect(alice.page.get_by_role("article")).to_have_count(0)

    def test_two_quick_changes_of_one_task_do_not_conflict_with_each_other(self, alice: Person) -> None:
        alice.add("Quick")
        alice.page.evaluate(
            "for (const status of ['in_progress', 'done']) { const menu = document.querySelector('.status'); menu.value = status; menu.dispatchEvent(new Event('change')); }"
        )
        expect(alice.column("done").get_by_role("article")).to_have_count(1)
        expect(alice.page.get_by_role("dialog")).to_have_count(0)
        for _ in range(600):
            (task,) = alice.stored()
            if task["version"] == 3:
                break
            alice.page.wait_for_timeout(100)
        assert (task["status"], task["version"]) == ("done", 3)


class Loser:
    """A proxy between page and API that forwards a request and loses the answer, once for each method."""

    def __init__(self, alice: Person, *methods: str) -> None:
        self.left = list(methods)
        self.keys: list[str | None] = []
        self.statuses: list[int] = []
        alice.page.route(f"{alice.server.url}/tasks**", self._handle)

    def _handle(self, route: Any) -> Any:
        request = route.request
        if request.method in {"OPTIONS", "GET"}:
            return route.continue_()
        self.keys.append(request.headers.get("idempotency-key"))
        answer = route.fetch()
        self.statuses.append(answer.status)
        if request.method in self.left:
            self.left.remove(request.method)
            return route.abort("connectionreset")
        return route.fulfill(response=answer)


class TestLostAnswers:
    def test_a_task_whose_answer_was_lost_is_created_once(self, alice: Person) -> None:
        loser = Loser(alice, "POST")
        alice.add("Once")
        expect(alice.page.get_by_role("article")).to_have_count(1)
        assert loser.statuses == [201, 201]
        assert len(set(loser.keys)) == 1
        assert [task["title"] for task in alice.stored()] == ["Once"]

    def test_a_change_whose_answer_was_lost_is_no_conflict(self, alice: Person) -> None:
        alice.add("Once")
        loser = Loser(alice, "PATCH")
        with alice.page.expect_response(lambda response: response.request.method == "GET"):
            alice.page.get_by_role("button", name="Finish Once").click()
        expect(alice.page.locator(".wait")).to_be_hidden()
        expect(alice.page.get_by_role("dialog")).to_have_count(0)
        assert loser.statuses == [200, 412]
        assert alice.stored()[0]["version"] == 2

    def test_a_deletion_whose_answer_was_lost_is_no_error(self, new_person: Callable[..., Person]) -> None:
        alice = new_person(signed_in=False)
        alice.page.clock.install()
        alice.sign_in()
        alice.add("Once")
        loser = Loser(alice, "DELETE")
        alice.task("Once").press("Delete")
        alice.page.clock.fast_forward(10_000)
        for _ in range(600):
            if loser.statuses == [204, 404]:
                break
            alice.page.clock.run_for(100)
        assert loser.statuses == [204, 404]
        expect(alice.page.locator(".wait")).to_be_hidden()
        expect(alice.page.locator(".notice")).to_have_count(0)


class TestAbsence:
    @pytest.mark.parametrize("status", [429, 503])
    def test_the_page_waits_as_long_as_the_api_asks_and_says_so(
        self, new_person: Callable[..., Person], status: int
    ) -> None:
        alice = new_person(signed_in=False)
        alice.page.clock.install()
        alice.sign_in()
        refused: list[str] = []

        def refuse(route: Any) -> Any:
            if route.request.method != "POST" or refused:
                return route.continue_()
            refused.append(route.request.headers["idempotency-key"])
            headers = {
                "Retry-After": "90",
                "Access-Control-Allow-Origin": alice.app,
                "Access-Control-Expose-Headers": "Retry-After",
            }
            return route.fulfill(status=status, headers=headers, body=json.dumps({"status": status}))

        alice.page.route(f"{alice.server.url}/tasks**", refuse)
        alice.page.get_by_label("New task", exact=True).fill("Later")
        alice.page.keyboard.press("Enter")
        expect(alice.page.get_by_text("The API is busy and asks to wait.")).to_be_visible()
        assert alice.stored() == []
        alice.page.clock.fast_forward(60_000)
        assert alice.stored() == []
        alice.page.clock.fast_forward(31_000)
        expect(alice.page.locator("article[aria-busy=false]", has_text="Later")).to_be_visible()
        expect(alice.page.get_by_text("The API is busy")).to_be_hidden()
        assert {one.headers["idempotency-key"] for one in alice.sent("POST", "/tasks")} == set(refused)

    def test_a_refusal_that_lasts_is_told_in_the_end_and_the_text_is_kept(self, new_person: Callable[..., Person]) -> None:
        alice = new_person(signed_in=False)
        alice.page.clock.install()
        alice.sign_in()
        headers = {
            "Retry-After": "1",
            "Access-Control-Allow-Origin": alice.app,
            "Access-Control-Expose-Headers": "Retry-After",
            "Content-Type": "application/problem+json",
        }
        body = json.dumps({"detail": "Nothing happened. Retry."})
        alice.page.route(
            f"{alice.server.url}/tasks",
            lambda route: (
                route.continue_()
                if route.request.method == "OPTIONS"
                else route.fulfill(status=503, headers=headers, body=body)
            ),
        )
        alice.page.get_by_label("New task", exact=True).fill("Later")
        alice.page.keyboard.press("Enter")
        for _ in range(600):
            if alice.page.get_by_text("Nothing happened. Retry.").count():
                break
            alice.page.clock.run_for(200)
        expect(alice.page.get_by_text("Nothing happened. Retry.")).to_be_visible()
        expect(alice.page.get_by_label("New task", exact=True)).to_have_value("Later")
        alice.page.unroute(f"{alice.server.url}/tasks")
        alice.page.keyboard.press("Enter")
        expect(alice.page.locator("article[aria-busy=false]", has_text="Later")).to_be_visible()
        assert len({one.headers["idempotency-key"] for one in alice.sent("POST", "/tasks")}) == 1

    def test_work_goes_on_offline_and_is_sent_when_the_network_is_back(self, alice: Person) -> None:
        alice.add("Before")
        alice.context.set_offline(True)
        alice.page.get_by_label("New task", exact=True).fill("Meanwhile")
        alice.page.keyboard.press("Enter")
        alice.page.get_by_role("button", name="Finish Before").click()
        expect(alice.page.get_by_text("You are offline.")).to_be_visible()
        expect(alice.column("done").get_by_role("article", name="Before")).to_be_visible()
        expect(alice.task("Meanwhile")).to_be_visible()
        assert [(task["title"], task["status"]) for task in alice.stored()] == [("Before", "pending")]
        alice.context.set_offline(False)
        expect(alice.page.locator("article[aria-busy=false]", has_text="Meanwhile")).to_be_visible()
        expect(alice.page.get_by_text("You are offline.")).to_be_hidden()
        for _ in range(600):
            if [(task["title"], task["status"]) for task in alice.stored()] == [
                ("Meanwhile", "pending"),
                ("Before", "done"),
            ]:
                return
            alice.page.wait_for_timeout(100)
        raise AssertionError(alice.stored())

    def test_closing_the_page_with_unsent_changes_asks_first(self, alice: Person) -> None:
        alice.context.set_offline(True)
        alice.page.get_by_label("New task", exact=True).fill("Unsent")
        alice.page.keyboard.press("Enter")
        expect(alice.page.get_by_text("You are offline.")).to_be_visible()
        questions: list[str] = []

        def stay(dialog: Any) -> None:
            questions.append(dialog.type)
            dialog.dismiss()

        alice.page.on("dialog", stay)
        alice.page.close(run_before_unload=True)
        alice.context.set_offline(False)
        expect(alice.page.locator("article[aria-busy=false]", has_text="Unsent")).to_be_visible()
        assert questions == ["beforeunload"]
