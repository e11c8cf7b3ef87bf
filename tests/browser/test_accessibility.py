"""Accessibility by axe-core, the look (screenshots), and what the page must not do while it loads."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person
from tests.browser.test_everyone import make_older
from tests.support import npm

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 780},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
TASKS = [
    ("Send the offer to Moreno & Sons", "pending", -2, "They asked for two variants, with and without support."),
    ("Renew the certificate of the shop", "pending", 0, ""),
    ("Book the room for the workshop", "pending", 1, ""),
    ("Read the report on accessibility", "pending", 12, ""),
    ("Order a new chair", "pending", None, ""),
    ("Fix the date in the footer", "in_progress", -1, ""),
    ("Prepare the quarterly review", "in_progress", 3, "Numbers from finance arrive on Tuesday."),
    ("Translate the manual", "in_progress", None, ""),
    ("Pay the invoice of the printer", "done", -6, ""),
    ("Invite the new colleagues", "done", -3, ""),
    ("Archive the spring photos", "done", None, ""),
]  # fmt: skip
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def check(page: Any) -> None:
    """Fail with what axe-core finds. It is evaluated by the debugger, which the page's own policy does not bind."""
    page.evaluate((npm.install() / "axe-core" / "axe.min.js").read_text())
    page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished))")
    found = page.evaluate("(tags) => axe.run({runOnly: tags})", TAGS)
    assert found["passes"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []


def fill(person: Person) -> None:
    """Create some tasks."""
    today = datetime.now(UTC).astimezone().replace(hour=23, minute=59, second=59, microsecond=0)
    for title, status, days, description in reversed(TASKS):
        due = None if days is None else (today + timedelta(days=days)).isoformat()
        person.call("POST", "/tasks", {"title": title, "status": status, "due_at": due, "description": description})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_in_any_view(
    new_person: Callable[..., Person], screenshots: Path, device: dict[str, Any], scheme: str
) -> None:
    name = f"{'phone' if device is PHONE else 'board'}-{scheme}.png"
    alice = new_person(signed_in=False, color_scheme=scheme, **device)
    page = alice.page
    page.goto(alice.app)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    check(page)
    fill(alice)
    alice.sign_in()
    expect(page.get_by_role("article")).to_have_count(len(TASKS))
    check(page)
    screenshots.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=screenshots / name, animations="disabled")

    form = alice.open_editor("Order a new chair")
    form.get_by_label("Title").fill("\u200b")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("button", name="Copy request id")).to_be_visible()
    check(page)
    (task,) = [task for task in alice.stored() if task["title"] == "Order a new chair"]
    alice.call("PATCH", f"/tasks/{task['task_id']}", {"title": "Order two chairs"})
    form.get_by_label("Title").fill("Order a good chair")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check(page)
    page.get_by_role("button", name="Keep yours").click()

    alice.task("Order a good chair").press("Delete")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    check(page)
    page.get_by_role("button", name="Account of").click()
    check(page)
    page.get_by_role("button", name="Keyboard shortcuts").click()
    check(page)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="List").click()
    expect(page.get_by_role("article").first).to_be_visible()
    check(page)
    alice.context.set_offline(True)
    alice.page.get_by_label("New task", exact=True).fill("Meanwhile")
    alice.page.keyboard.press("Enter")
    expect(alice.page.get_by_text("You are offline.")).to_be_visible()
    check(page)
    alice.context.set_offline(False)
    expect(alice.page.locator("article[aria-busy=false]", has_text="Meanwhile")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_admins_view(new_person: Callable[..., Person], screenshots: Path, scheme: str) -> None:
    admin = new_person("admin@example.com", color_scheme=scheme)
    alice = new_person(signed_in=False)
    for title, age in (
        ("Clear the archive", {"days": 40}),
        ("Answer the auditors", {"days": 9}),
        ("Call the plumber", {"days": 4}),
        ("Sort the post", {"days": 2}),
    ):
        alice.call("POST", "/tasks", {"title": title, "status": "in_progress" if title.startswith("Call") else "pending"})
        make_older(alice, **age)
    admin.page.get_by_role("link", name="Everyone").click()
    expect(admin.page.get_by_role("row", name="Answer the auditors").first).to_be_visible()
    check(admin.page)
    admin.page.screenshot(path=screenshots / f"everyone-{scheme}.png", animations="disabled")


def test_nothing_moves_while_the_page_loads(alice: Person) -> None:
    fill(alice)
    alice.context.add_init_script(
        "window.shifts = []; new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((one) => one.value)))"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    alice.page.reload()
    expect(alice.page.get_by_role("article")).to_have_count(len(TASKS))
    alice.page.get_by_role("link", name="List").click()
    expect(alice.page.get_by_role("article")).to_have_count(len(TASKS))
    assert alice.page.evaluate("window.shifts.reduce((sum, shift) => sum + shift, 0)") < 0.01


def test_nothing_is_animated_for_people_who_ask_for_less_motion(new_person: Callable[..., Person]) -> None:
    alice = new_person(reduced_motion="reduce")
    alice.add("Still")
    styles = alice.page.evaluate(
        "[...document.querySelectorAll('*')].map((one) => getComputedStyle(one))"
        ".map((style) => [style.animationName, style.transitionDuration].join()).filter((style) => style !== 'none,0s')"
    )
    assert styles == []


def test_what_is_sent_is_at_most_60_kb(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    session = alice.context.new_cdp_session(alice.page)
    session.send("Network.enable")
    urls: dict[str, str] = {}
    sizes: dict[str, float] = {}
    session.on("Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]}))
    session.on("Network.loadingFinished", lambda event: sizes.update({urls[event["requestId"]]: event["encodedDataLength"]}))
    alice.page.goto(alice.app, wait_until="networkidle")
    own = {url: size for url, size in sizes.items() if url.startswith(alice.app)}
    assert f"{alice.app}/views/everyone.js" in own
    assert sum(own.values()) <= 60_000, json.dumps(own, indent=1)
