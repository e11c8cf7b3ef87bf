"""Many calls at once over a network that goes wrong again and again, as a seed says: in the end all is as it was answered."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tests.support import pool
from tests.support.ground import Ground, Instance
from tests.support.mishaps import weather
from tests.support.people import Answer

SEEDS = pytest.mark.parametrize("seed", range(3))
_numbers = count(8000)


def insisted(instance: Instance, *request: Any, **headers: Any) -> tuple[Answer, int]:
    """Ask until there is an answer, as a client does that has read of Retry-After; return it, and how often there was none."""
    for times in range(100):
        answer = instance(*request, **headers)
        if answer.status not in {409, 503}:
            return answer, times
    raise AssertionError(answer)


@SEEDS
def test_each_key_creates_one_task_however_many_instances_insist(ground: Ground, seed: int) -> None:
    claims = pool.id_claims()

    def create(number: int) -> list[dict[str, Any]]:
        with ground.instance() as instance:
            weather(instance.wire, (seed, number))
            answers = [
                insisted(instance, claims, "POST", "/tasks", {"title": str(key)}, Idempotency_Key=f"k{key}")[0]
                for key in range(8)
            ]
            assert sum(instance.wire.faulted.values()) > 0
        assert {answer.status for answer in answers} == {201}
        return [answer.json for answer in answers]

    with ThreadPoolExecutor(3) as many:
        first, *others = many.map(create, range(3))
    assert others == [first, first]
    with ground.instance() as instance:
        assert instance(claims, "GET", "/tasks?limit=100").json["tasks"] == sorted(
            first, key=lambda task: str(task["task_id"]), reverse=True
        )


@SEEDS
def test_no_change_that_was_answered_is_lost_and_none_is_made_twice(ground: Ground, seed: int) -> None:
    claims = pool.id_claims()
    made: list[tuple[int, int]] = []
    silent = 0
    with ground.instance() as instance:
        path = "/tasks/" + instance(claims, "POST", "/tasks", {"title": "0"}).json["task_id"]
        weather(instance.wire, seed)
        for number in range(1, 31):
            answer = instance(claims, "PATCH", path, {"title": str(number)})
            assert answer.status in {200, 503}
            if answer.status == 200:
                assert answer.json["title"] == str(number)
                made.append((number, answer.json["version"]))
            silent += answer.status == 503
        instance.wire.clear()
        now = instance(claims, "GET", path).json
    assert 0 < len(made) < 30
    assert 1 + len(made) <= now["version"] <= 1 + len(made) + silent
    assert [version for _, version in made] == sorted({version for _, version in made})
    last, version = made[-1]
    assert int(now["title"]) == last if now["version"] == version else int(now["title"]) > last


@SEEDS
def test_who_has_the_tag_is_never_told_that_the_task_has_changed(ground: Ground, seed: int) -> None:
    claims = pool.id_claims()
    with ground.instance() as instance:
        path = "/tasks/" + instance(claims, "POST", "/tasks", {"title": "T"}).json["task_id"]
        weather(instance.wire, seed)
        for number in range(20):
            tag = insisted(instance, claims, "GET", path)[0].etag
            answer = instance(claims, "PATCH", path, {"title": str(number)}, If_Match=tag)
            assert answer.status in {200, 503}
            if answer.status == 200:
                assert answer.json["version"] == int(tag.strip('"')) + 1
        tag = insisted(instance, claims, "GET", path)[0].etag
        answer = instance(claims, "DELETE", path, If_Match=tag)
        assert answer.status in {204, 503}
        instance.wire.clear()
        assert instance(claims, "GET", path).status in ({404} if answer.status == 204 else {200, 404})


@SEEDS
def test_each_key_sends_one_text_at_most_however_many_instances_insist(ground: Ground, seed: int) -> None:
    machine = pool.machine_claims()
    numbers = [f"+1202555{next(_numbers):04d}" for _ in range(6)]

    def send(number: int) -> list[list[Answer]]:
        with ground.instance() as instance:
            weather(instance.wire, (seed, number))
            return [
                [
                    instance(machine, "POST", "/sms", {"to": to, "message": "Hello"}, Idempotency_Key=f"k{to}")
                    for _ in range(4)
                ]
                for to in numbers
            ]

    with ThreadPoolExecutor(3) as many:
        sent = list(many.map(send, range(3)))
    for index, to in enumerate(numbers):
        answers = [answer for instance in sent for answer in instance[index]]
        assert {answer.status for answer in answers} <= {202, 409, 503}
        ids = {answer.json["message_id"] for answer in answers if answer.status == 202} - {None}
        assert ground.texts(to) <= 1
        assert len(ids) <= ground.texts(to)
