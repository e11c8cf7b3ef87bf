"""The request lines of `make run`, made from the log lines of the app."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import pytest

from tests.support.people import Person
from tests.support.sdk_faults import network, refused
from tools.local import request_lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def printed(output: io.StringIO | None = None) -> Iterator[io.StringIO]:
    """Yield what is printed in the block; not a fixture, since pytest sets standard output again after those."""
    output = output or io.StringIO()
    with redirect_stdout(request_lines.wrap(output)):
        yield output


def test_a_request_is_a_line_with_its_path_status_time_and_units(alice: Person) -> None:
    with printed() as output:
        created = alice.creates()
        alice("GET", f"/tasks/{created['task_id']}")
        alice("GET", "/health")
    create, read, health = output.getvalue().splitlines()
    clock, milliseconds = r"\d\d:\d\d:\d\d", r" +\d+\.\d ms"
    assert re.fullmatch(rf"{clock} POST    /tasks +201{milliseconds}  \d write units", create)
    assert re.fullmatch(rf"{clock} GET     /tasks/{created['task_id']} +200{milliseconds}  [\d.]+ read units", read)
    assert re.fullmatch(rf"{clock} GET     /health +200{milliseconds}", health)


def test_a_line_has_no_character_that_a_terminal_would_obey(alice: Person) -> None:
    with printed() as output:
        alice("GET", "/tasks/\033[2J")
    assert " /tasks/?[2J " in output.getvalue()


def test_outcome_and_replay_are_noted(machine: Person) -> None:
    with printed() as output:
        for _ in range(2):
            machine("POST", "/sms", {"to": "+12025550100", "message": "Hello"}, Idempotency_Key="k")
    first, again = output.getvalue().splitlines()
    assert " sent" in first
    assert " sent, replayed" in again


def test_an_error_is_followed_by_its_causes(alice: Person) -> None:
    with network(refused("AccessDeniedException")), printed() as output:
        alice("GET", "/tasks")
    line, problem, cause = output.getvalue().splitlines()
    assert " 503 " in line
    assert re.fullmatch(r"    chalicelib\.problems\.Unavailable \S+table\.py:\d+ \S+", problem)
    assert re.fullmatch(r"    botocore\.exceptions\.ClientError AccessDeniedException .+", cause)


@pytest.mark.parametrize(("method", "path", "colour"), [("GET", "/health", 32), ("GET", "/tasks", 33)])
def test_a_terminal_shows_the_status_in_colour(
    nobody: Person, monkeypatch: pytest.MonkeyPatch, method: str, path: str, colour: int
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with printed(Terminal()) as output:
        response = nobody(method, path)
    assert f"\033[{colour}m{response.status}\033[0m" in output.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    with printed(Terminal()) as output:
        nobody(method, path)
    assert "\033" not in output.getvalue()


def test_other_text_is_printed_as_it_is() -> None:
    with printed() as output:
        print('{"a": 1}')
    assert output.getvalue() == '{"a": 1}\n'


def test_json_is_kept_on_request(nobody: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG", "json")
    with printed() as output:
        nobody("GET", "/health")
    assert json.loads(output.getvalue())["route"] == "/health"
