"""A crowd at work: each client with an instance of the function, and with weather of its own."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.crowd import Client, Owner, Story
from tests.ground import Ground
from tests.mishaps import weather


def gathered(ground: Ground, seed: object, *, fair: bool, clients: int = 6, deeds: int = 30) -> Story:
    """Let a crowd act, then look at all that is left in fair weather."""
    story = Story()
    owners = [Owner("A"), Owner("B")]
    for owner, other in zip(owners, owners[::-1], strict=True):
        owner.other = other
    with ExitStack() as stack:
        crowd = []
        for number in range(clients):
            instance = stack.enter_context(ground.instance())
            if not fair:
                weather(instance.wire, (seed, number))
            crowd.append((Client(f"c{number}", owners[number % 2], instance, seed, story), instance.wire))
        with ThreadPoolExecutor(clients) as many:
            list(many.map(lambda member: _live(member[0], deeds), crowd))
        for client, wire in crowd:
            story.faults += wire.faulted
            wire.clear()
            client.walk()
        for path in [path for owner in owners for path in owner.paths]:
            for client, _ in crowd[:2]:
                client.ask("GET", path)
    return story


def _live(client: Client, deeds: int) -> None:
    for _ in range(deeds):
        client.act()
