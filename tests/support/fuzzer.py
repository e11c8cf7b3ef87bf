"""Finds out whether `make run` is as its document says: for long in `make fuzz`, and in short in tests/faults/test_fuzz.py.

Schemathesis makes requests that the document allows and requests that it does not, one by one and in chains, and compares the
answers with it; documented.py compares them once more, also those to methods that the document does not know.
"""

import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import Interaction, ScenarioRecorder
from schemathesis.hooks import HookContext

from tests import conftest  # noqa: F401 - conftest sets the stage
from tests.support import documented, leaks
from tests.support.local_server import PATIENCE, Stand, copied, slowed_down

ENOUGH = 10_000  # cases of the long run
_SHOWN = 20
_STEP = 1000
# A schema cannot say which of the requests that it allows are refused: those that another one has overtaken, ...
_OVERTAKEN = {"invalid-cursor", "precondition-failed", "idempotency-key-reused"}
# ... and those whose values are each as they must be, but not together, or not here.
_TOGETHER = re.compile(r"requires `status`|is too long: .*|must be in a supported country")


def map_body(_context: HookContext, body: Any) -> Any:
    """Turn the number of a text into one that is served here: hardly any number is."""
    if isinstance(body, dict) and re.fullmatch(r"\+[1-9][0-9]{6,14}", str(body.get("to"))):
        return body | {"to": f"+1202555{body['to'][-4:]}"}
    return body


schemathesis.hook(map_body)  # whose name says when it is called


OPERATIONS = {f"{method.upper()} {path}" for path, methods in documented.DOCUMENT["paths"].items() for method in methods}


class Fuzz:
    """Fuzzes an API with the tokens of an admin and of a machine, and counts what comes of it."""

    def __init__(self, api: Stand) -> None:
        self._api = api
        admin, machine = api.token("admin"), api.local("machine-token").stdout.strip()
        self._tokens = {"users": admin, "user_authorizer": admin, "machines": machine}
        self.cases = self.steps = self._told = 0
        self.statuses: Counter[int] = Counter()
        self.routes: Counter[str] = Counter()
        self.successes: set[str] = set()
        self.failures: list[str] = []

    def run(self, cases: int, examples: int, seed: int, tell: Callable[[str], object] = lambda _: None) -> None:
        """Try so many cases or more; the same seed makes the same ones, as far as the answers do not lead elsewhere."""
        began = time.monotonic()
        phases = None  # all: examples, the edges of each rule, chance, chains
        while self.cases < cases:
            for event in from_schema(self._schema(examples, seed, phases)).execute():
                self._look_at(event)
                if self.cases >= self._told + _STEP:
                    self._told = self.cases
                    tell(f"{self.cases} cases, {time.monotonic() - began:.0f} s, {len(self.failures)} failures")
            phases, seed = {"examples": {"enabled": False}, "coverage": {"enabled": False}}, seed + 1
        # Else a refusal of everything would look like an API without faults.
        self.failures += [f"{name} has never succeeded" for name in sorted(OPERATIONS - self.successes)]

    def report(self) -> str:
        """Return what came of it, failures first."""
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        routes = ", ".join(f"{route}: {count}" for route, count in sorted(self.routes.items()))
        more = [f"... and {len(self.failures) - _SHOWN} more"] * (len(self.failures) > _SHOWN)
        figures = f"{self.cases} cases, {self.steps} of them led to by an answer; {len(self.failures)} failures"
        return "\n".join([*self.failures[:_SHOWN], *more, f"Routes: {routes}", f"Statuses: {statuses}", figures])

    def _schema(self, examples: int, seed: int, phases: dict[str, Any] | None) -> Any:
        settings = {
            "base-url": self._api.url,
            "seed": seed,
            "continue-on-failure": True,
            "request-timeout": PATIENCE,
            "auth": {"openapi": {name: {"bearer": token} for name, token in self._tokens.items()}},
            "generation": {
                "max-examples": examples,
                "database": "none",
                "no-shrink": True,
                "with-security-parameters": phases is None,  # which tokens are refused is soon known
            },
            "suppress-health-check": ["all"],
            "phases": phases or {},
        }
        return schemathesis.openapi.from_dict(documented.DOCUMENT, config=SchemathesisConfig.from_dict(settings))

    def _look_at(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.NonFatalError | events.FatalError):
            self.failures.append(f"The fuzzer itself failed: {event}")
        if not isinstance(event, events.ScenarioFinished):
            return
        self.cases += len(event.recorder.interactions)
        self.steps += sum(node.is_transition_applied for node in event.recorder.cases.values())
        for case, interaction in event.recorder.interactions.items():
            self._compare(event.recorder, case, interaction)

    def _compare(self, recorder: ScenarioRecorder, case: str, interaction: Interaction) -> None:
        request, response = interaction.request, interaction.response
        if response is None:
            self.failures.append(f"No answer to {request.method} {request.uri}")
            return
        self.statuses[response.status_code] += 1
        self.routes[recorder.cases[case].value.operation.label] += 1
        if 200 <= response.status_code < 300:
            self.successes.add(f"{request.method} {recorder.cases[case].value.operation.path}")
        headers = {name: lines[0] for name, lines in response.headers.items()}
        body = (response.content or b"").decode()
        found = [
            f"{check.name}: {check.failure_info.failure.message}"
            for check in recorder.checks.get(case, [])
            if check.failure_info and not (check.name == "positive_data_acceptance" and beyond(request.headers, body))
        ]
        path = request.uri.removeprefix(self._api.url)
        route = path.partition("?")[0]
        sent = {name: ", ".join(lines) for name, lines in request.headers.items()}
        said = leaks.Sent(sent, request.body, leaks.values(path))
        self._api.sent.append(said)
        try:
            leaks.answered(request.method, route, response.status_code, headers, body, said)
            if request.method not in {"HEAD", "TRACE"}:  # an answer to HEAD is its head alone
                documented.fits(request.method, route, response.status_code, headers, body)
        except (AssertionError, KeyError) as error:
            found.append(f"{type(error).__name__}: {error}")
        if response.status_code >= 500:
            found.append(f"answered {response.status_code}")
        self.failures += [f"{request.method} {request.uri}: {what}\n  {body[:500]}" for what in found]


def beyond(headers: dict[str, list[str]], body: str) -> bool:
    """Tell whether a request that the schema allows was refused for what no schema can say."""
    problem = json.loads(body)
    slug = problem["type"].removeprefix("urn:problem:")
    if slug == "malformed":  # schemathesis does not keep to the pattern of a header everywhere
        tags = [line for name, lines in headers.items() if name.lower() in {"if-match", "if-none-match"} for line in lines]
        return any(not re.fullmatch(documented.TAGS, line) for line in tags)
    told = [error["detail"] for error in problem.get("errors", [])]
    together = bool(told) and all(_TOGETHER.fullmatch(detail) for detail in told)
    return slug in _OVERTAKEN or (slug == "validation" and together)


def stand(folder: Path) -> Stand:
    """Start `make run` for a fuzzer: a copy of it, in which hardly any text is over a limit."""
    copy = slowed_down(copied(folder / "copy"))
    config = copy / ".chalice" / "config.json"
    limits = '"(SMS_PER_CLIENT_AND_MINUTE|SMS_PER_NUMBER_AND_HOUR|SMS_PARTS_PER_DAY)": "[0-9]+"'
    config.write_text(re.sub(limits, r'"\1": "1000000"', config.read_text()))
    stand = Stand(folder / "home", copy)
    stand.start()
    return stand


def fuzz(cases: int, examples: int, seed: int, tell: Callable[[str], object] = lambda _: None) -> Fuzz:
    """Start the API, fuzz it, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        api = stand(Path(folder))
        try:
            found = Fuzz(api)
            found.run(cases, examples, seed, tell)
        finally:
            api.stop()
    return found


def main() -> int:
    """Fuzz for long, with other cases each time, or with those of a seed that is named."""
    seed = int(sys.argv[1]) if sys.argv[1:] else int(time.time())
    print(f"Starting the API; then at least {ENOUGH} cases. The same ones again: make fuzz SEED={seed}")
    found = fuzz(ENOUGH, 100, seed, print)
    print(found.report())
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
