"""What people do with their tasks."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person

TOMORROW = (datetime.now(UTC).astimezone() + timedelta(days=1)).date()


def test_create_edit_finish_and_undo(alice: Person) -> None:
    alice.add("Buy milk", str(TOMORROW))
    expect(alice.column("pending").get_by_role("article")).to_contain_text("Tomorrow")

    form = alice.open_editor("Buy milk")
    form.get_by_label("Title").fill("Buy oat milk")
    form.get_by_label("Notes").fill("Two litres")
    form.get_by_role("button", name="Save").click()
    expect(alice.task("Buy oat milk")).to_be_focused()
    expect(alice.task("Buy oat milk")).to_contain_text("Two litres")

    alice.page.get_by_role("button", name="Finish Buy oat milk").click()
    expect(alice.column("done").get_by_role("article")).to_have_count(1)
    expect(alice.column("pending").get_by_text("Nothing waits.")).to_be_visible()

    alice.task("Buy oat milk").hover()
    alice.page.get_by_role("button", name="Delete Buy oat milk").click()
    expect(alice.page.get_by_role("article")).to_have_count(0)
    alice.page.get_by_role("button", name="Undo").click()
    expect(alice.column("done").get_by_role("article")).to_have_count(1)

    (task,) = alice.stored()
    assert (task["title"], task["description"], task["status"], task["version"]) == ("Buy oat milk", "Two litres", "done", 3)
    assert datetime.fromisoformat(task["due_at"]).astimezone().date() == TOMORROW
    assert alice.sent("DELETE", f"/tasks/{task['task_id']}") == []


def test_a_deletion_that_is_not_taken_back_is_sent(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.page.clock.install()
    alice.sign_in()
    alice.add("Old")
    alice.task("Old").press("Delete")
    with alice.page.expect_response(lambda response: response.request.method == "DELETE") as deletion:
        alice.page.clock.fast_forward(10_000)
    assert deletion.value.status == 204
    expect(alice.page.get_by_role("button", name="Undo")).to_have_count(0)
    assert alice.stored() == []


def test_a_deletion_that_is_taken_back_is_never_sent(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.page.clock.install()
    alice.sign_in()
    alice.add("Old")
    alice.task("Old").press("Delete")
    notice = alice.page.locator(".notice").element_handle()
    alice.page.get_by_role("button", name="Undo").click()
    expect(alice.task("Old")).to_be_visible()
    notice.dispatch_event("mouseleave")  # a browser may report that the pointer left what was removed
    alice.page.clock.fast_forward(10_000)
    alice.add("New")
    assert [task["title"] for task in alice.stored()] == ["New", "Old"]


def test_a_deletion_is_sent_when_the_page_is_closed(alice: Person) -> None:
    alice.add("Old")
    second = alice.open_tab()
    alice.task("Old").press("Delete")
    alice.page.goto("about:blank")
    second.goto(alice.app)
    expect(alice.column("pending", second)).to_be_visible()
    for _ in range(600):
        if not alice.stored():
            return
        second.wait_for_timeout(100)
    raise AssertionError


def test_the_status_changes_by_drag_and_by_menu(alice: Person) -> None:
    alice.add("Walk")
    alice.task("Walk").drag_to(alice.column("in_progress"))
    expect(alice.column("in_progress").get_by_role("article")).to_have_count(1)
    alice.page.get_by_label("Status of Walk").select_option("Done")
    expect(alice.column("done").get_by_role("article")).to_have_count(1)
    alice.page.get_by_role("link", name="List").click()
    alice.page.get_by_label("Status of Walk").select_option("Pending")
    alice.page.get_by_role("link", name="Board").click()
    expect(alice.column("pending").get_by_role("article")).to_have_count(1)
    alice.page.reload()
    expect(alice.column("pending").get_by_role("article")).to_have_count(1)
    assert alice.stored()[0]["version"] == 4


def test_everything_works_with_the_keyboard_alone(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    page, press = alice.page, alice.page.keyboard.press
    page.goto(alice.app)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    press("Tab")
    press("Enter")
    page.get_by_label("Username").wait_for()
    page.keyboard.type(alice.email)
    press("Tab")
    page.keyboard.type(alice.password)
    press("Enter")
    expect(alice.column("pending").get_by_text("Nothing waits.")).to_be_visible()

    press("n")
    for title in ("Second", "First"):
        page.keyboard.type(title)
        press("Enter")
        expect(page.locator("article[aria-busy=false]", has_text=title)).to_be_visible()
    for _ in range(10):
        press("Tab")
        if alice.page.evaluate("document.activeElement.tagName") == "ARTICLE":
            break
    first, second = alice.column("pending").get_by_role("article").all()
    expect(first).to_be_focused()
    press("ArrowDown")
    expect(second).to_be_focused()
    press("ArrowUp")
    name = first.get_by_role("heading").inner_text()

    press("ArrowRight")
    expect(alice.column("in_progress").get_by_role("article", name=name)).to_be_focused()
    press("Enter")
    expect(page.get_by_label("Title")).to_be_focused()
    page.keyboard.type(" of all")
    press("Enter")
    expect(alice.task(f"{name} of all")).to_be_focused()
    press("Enter")
    page.keyboard.type("not this")
    press("Escape")
    expect(alice.task(f"{name} of all")).to_be_focused()
    press("Space")
    expect(alice.column("done").get_by_role("article", name=f"{name} of all")).to_be_focused()
    press("Delete")
    expect(page.get_by_role("article")).to_have_count(1)
    press("Control+z")
    expect(page.get_by_role("article")).to_have_count(2)
    press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_overdue_says_so_and_what_is_done_does_not(alice: Person) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for status in ("pending", "done"):
        alice.call("POST", "/tasks", {"title": status, "status": status, "due_at": yesterday})
    alice.page.reload()
    expect(alice.task("pending").get_by_text("2 days overdue")).to_be_visible()
    expect(alice.task("done")).to_be_visible()
    expect(alice.task("done").get_by_text("overdue")).to_have_count(0)


def test_a_list_of_120_loads_while_scrolling_with_no_repeat_and_no_gap(alice: Person) -> None:
    token = alice.server.token(alice.email)
    with ThreadPoolExecutor(4) as threads:
        for response in threads.map(
            lambda number: alice.server("POST", "/tasks", token, {"title": f"Task {number}"}), range(120)
        ):
            assert response.status == 201
    for view, region in (("List", "All tasks, newest first"), ("Board", "Pending")):
        alice.page.reload()
        alice.page.get_by_role("link", name=view).click()
        tasks = alice.page.get_by_role("region", name=region).get_by_role("article")
        tasks.nth(29).wait_for()
        assert tasks.count() < 120
        for _ in range(600):
            if not alice.page.get_by_role("button", name="Show more").count():
                break
            tasks.last.scroll_into_view_if_needed()
            alice.page.wait_for_timeout(50)
        expect(tasks).to_have_count(120)
        titles = tasks.get_by_role("heading").all_inner_texts()
        assert len(set(titles)) == 120
        if view == "List":
            assert titles == [task["title"] for task in alice.stored()] + titles[100:]


def test_a_refused_value_is_told_at_its_field_with_the_id_of_the_request(new_person: Callable[..., Person]) -> None:
    alice = new_person(permissions=["clipboard-read", "clipboard-write"])
    with alice.page.expect_response(re.compile(r"/tasks$")) as refusal:
        alice.page.get_by_label("New task", exact=True).fill("\u200b")
        alice.page.keyboard.press("Enter")
    assert refusal.value.status == 422
    expect(alice.page.get_by_label("New task", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(alice.page.get_by_label("New task", exact=True)).to_have_accessible_description(
        re.compile("text of 1 to 200 characters")
    )
    alice.page.get_by_role("button", name="Copy request id").click()
    expect(alice.page.get_by_text("Copied")).to_be_visible()
    assert alice.page.evaluate("navigator.clipboard.readText()") == refusal.value.headers["x-request-id"]

    alice.add("Good")
    form = alice.open_editor("Good")
    form.get_by_label("Title").fill("\u200b")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("Title")).to_have_accessible_description(re.compile("text of 1 to 200 characters"))
    form.get_by_role("button", name="Cancel").click()
    expect(alice.task("Good")).to_be_visible()


def test_a_value_that_is_too_long_is_refused_and_never_cut(alice: Person) -> None:
    field = alice.page.get_by_label("New task", exact=True)
    field.fill("x" * 10_000)
    field.press("Enter")
    expect(field).to_have_accessible_description(re.compile("text of 1 to 200 characters"))
    expect(field).to_have_value("x" * 10_000)
    field.fill("🎉" * 200)  # each is one character, and two units of UTF-16
    field.press("Enter")
    expect(alice.page.locator("article[aria-busy=false]")).to_have_count(1)
    assert [task["title"] for task in alice.stored()] == ["🎉" * 200]


def test_a_year_has_at_most_four_digits(alice: Person) -> None:
    alice.page.get_by_label("New task", exact=True).fill("Far")
    alice.page.get_by_label("Due date of the new task").focus()
    alice.page.keyboard.type("0101222222")
    alice.page.keyboard.press("Enter")
    expect(alice.page.locator("article[aria-busy=false]")).to_have_count(1)
    assert alice.stored()[0]["due_at"] < "9999-12-31"


def test_a_new_task_comes_into_sight_and_is_announced(alice: Person) -> None:
    alice.add("Soon", str(TOMORROW))
    for number in range(12):
        alice.call("POST", "/tasks", {"title": f"Task {number}", "due_at": f"{TOMORROW}T00:00:00Z"})
    alice.page.reload()
    expect(alice.page.get_by_role("article")).to_have_count(13)
    expect(alice.task("Task 9")).not_to_be_in_viewport()
    alice.add("Without a date")  # these are the last ones
    expect(alice.task("Without a date")).to_be_in_viewport()
    expect(alice.page.get_by_role("status").filter(has_text="Without a date: added")).to_be_attached()


def test_only_a_task_can_be_dropped_on_a_column(alice: Person) -> None:
    expect(alice.column("done")).to_be_visible()
    alice.page.evaluate(
        "const data = new DataTransfer(); data.setData('text/plain', 'Hello');"
        "for (const type of ['dragover', 'drop']) document.querySelector('.column')"
        ".dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}))"
    )
    expect(alice.page.locator(".column.target")).to_have_count(0)
    expect(alice.page.get_by_role("article")).to_have_count(0)


def test_the_keyboard_goes_on_at_a_task_whose_deletion_is_taken_back(alice: Person) -> None:
    alice.add("First")
    alice.add("Second")
    alice.task("First").press("Delete")
    alice.page.get_by_role("button", name="Undo").press("Enter")
    expect(alice.task("First")).to_be_focused()


@pytest.mark.parametrize("view", ["Board", "List"])
def test_every_task_can_be_reached_in_a_window_of_320_by_256_pixels(new_person: Callable[..., Person], view: str) -> None:
    """That is a window of 1280 by 1024 at 400 % (WCAG 1.4.10)."""
    alice = new_person(signed_in=False, viewport={"width": 320, "height": 256})
    alice.page.goto(alice.app)
    alice.page.get_by_role("button", name="Sign in").scroll_into_view_if_needed()
    expect(alice.page.get_by_role("button", name="Sign in")).to_be_in_viewport(ratio=1)
    alice.sign_in()
    alice.add("Far down")
    alice.page.get_by_role("link", name=view).click()
    alice.task("Far down").scroll_into_view_if_needed()
    expect(alice.task("Far down")).to_be_in_viewport(ratio=0.9)
    assert alice.page.evaluate("document.documentElement.scrollWidth") == 320


def test_text_in_a_language_that_is_written_from_the_right_starts_at_the_right(alice: Person) -> None:
    alice.add("مهمة جديدة!")
    direction = "(heading) => getComputedStyle(heading).direction"
    assert alice.page.get_by_role("heading", name="مهمة جديدة!").evaluate(direction) == "rtl"


class TestWhatIsTyped:
    """What a person has typed is not lost, whatever the page does meanwhile."""

    def test_it_stays_when_the_view_changes(self, alice: Person) -> None:
        alice.add("Letter")
        alice.open_editor("Letter").get_by_label("Notes").fill("Dear Bob")
        for view in ("List", "Board"):
            alice.page.get_by_role("link", name=view).click()
            expect(alice.page.get_by_label("Notes")).to_have_value("Dear Bob")

    def test_it_stays_when_the_page_was_out_of_sight_and_what_others_changed_meanwhile_is_shown(
        self, new_person: Callable[..., Person]
    ) -> None:
        alice = new_person(signed_in=False)
        alice.page.clock.install()
        alice.sign_in()
        for title in ("Letter", "Other", "Gone"):
            alice.add(title)
        alice.open_editor("Letter").get_by_label("Title").fill("Mine")
        gone, other, letter = (f"/tasks/{task['task_id']}" for task in alice.stored())
        alice.call("PATCH", letter, {"title": "Theirs"})
        alice.call("PATCH", other, {"title": "Another"})
        alice.call("DELETE", gone)
        for is_hidden in ("true", "false"):
            alice.page.evaluate(
                f"Object.defineProperty(document, 'hidden', {{value: {is_hidden}, configurable: true}});"
                "document.dispatchEvent(new Event('visibilitychange'))"
            )
            alice.page.clock.fast_forward(61_000)
        expect(alice.task("Another")).to_be_visible()
        expect(alice.task("Gone")).to_have_count(0)
        expect(alice.page.get_by_label("Title")).to_have_value("Mine")
        alice.page.get_by_role("button", name="Save").click()
        expect(alice.page.get_by_role("row", name="Title Mine Theirs")).to_be_visible()
        alice.page.get_by_role("button", name="Keep theirs").click()
        expect(alice.task("Theirs")).to_be_visible()

    def test_it_stays_in_its_form_when_the_task_was_deleted_elsewhere(self, alice: Person) -> None:
        alice.add("Letter")
        form = alice.open_editor("Letter")
        form.get_by_label("Notes").fill("Dear Bob")
        (task,) = alice.stored()
        alice.call("DELETE", f"/tasks/{task['task_id']}")
        form.get_by_role("button", name="Save").click()
        expect(form.get_by_role("alert").filter(has_text="This task was deleted elsewhere")).to_be_visible()
        expect(form.get_by_label("Notes")).to_have_value("Dear Bob")
        form.get_by_role("button", name="Cancel").click()
        expect(alice.page.get_by_text("“Letter” was deleted elsewhere.")).to_be_visible()
        expect(alice.page.get_by_role("article")).to_have_count(0)

    def test_it_stays_when_the_page_is_loaded_again(self, alice: Person) -> None:
        alice.add("Letter")
        alice.open_editor("Letter").get_by_label("Notes").fill("Dear Bob")
        alice.page.get_by_label("New task", exact=True).fill("Stamp")
        alice.page.reload()
        expect(alice.page.get_by_label("Notes")).to_have_value("Dear Bob")
        expect(alice.page.get_by_label("New task", exact=True)).to_have_value("Stamp")
