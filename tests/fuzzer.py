"""What finds out whether a running API is as its document says.

Schemathesis makes requests that the document allows and requests that it does not, one by one and in chains, and compares the
answers with it; documented.py compares them once more, also those to methods that the document does not know.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import Interaction, ScenarioRecorder
from schemathesis.hooks import HookContext

from tests import documented

_SHOWN = 20
_STEP = 1000
# A schema cannot say which of the requests that it allows are refused: those that another one has overtaken, ...
_OVERTAKEN = {"invalid-cursor", "precondition-failed", "idempotency-key-reused"}
# ... and those whose values are each as they must be, but not together, or not here.
_TOGETHER = re.compile(r"needs a status beside it|must fit in \d+ parts; .*|must be a number of a country that is .*")


def map_body(_context: HookContext, body: Any) -> Any:
    """Turn the number of a text into one that is served here: hardly any number is."""
    if isinstance(body, dict) and re.fullmatch(r"\+[1-9][0-9]{6,14}", str(body.get("to"))):
        return body | {"to": f"+1202555{body['to'][-4:]}"}
    return body


schemathesis.hook(map_body)  # whose name says when it is called


class Fuzz:
    """Fuzzes an API with the tokens of an admin and of a machine, and counts what comes of it."""

    def __init__(self, url: str, admin: str, machine: str) -> None:
        self._url = url
        self._tokens = {"users": admin, "any_user": admin, "machines": machine}
        self.cases = self.steps = self._told = 0
        self.statuses: Counter[int] = Counter()
        self.routes: Counter[str] = Counter()
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

    def report(self) -> str:
        """Return what came of it, failures first."""
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        routes = ", ".join(f"{route}: {count}" for route, count in sorted(self.routes.items()))
        more = [f"... and {len(self.failures) - _SHOWN} more"] * (len(self.failures) > _SHOWN)
        figures = f"{self.cases} cases, {self.steps} of them led to by an answer; {len(self.failures)} failures"
        return "\n".join([*self.failures[:_SHOWN], *more, f"Routes: {routes}", f"Statuses: {statuses}", figures])

    def _schema(self, examples: int, seed: int, phases: dict[str, Any] | None) -> Any:
        settings = {
            "base-url": self._url,
            "seed": seed,
            "continue-on-failure": True,
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
        headers = {name: lines[0] for name, lines in response.headers.items()}
        body = (response.content or b"").decode()
        found = [
            f"{check.name}: {check.failure_info.failure.message}"
            for check in recorder.checks.get(case, [])
            if check.failure_info and not (check.name == "positive_data_acceptance" and _beyond(request.headers, body))
        ]
        path = request.uri.removeprefix(self._url).partition("?")[0]
        try:
            if request.method not in {"HEAD", "TRACE"}:  # an answer to HEAD is its head alone
                documented.fits(request.method, path, response.status_code, headers, body)
        except (AssertionError, KeyError) as error:
            found.append(f"{type(error).__name__}: {error}")
        if response.status_code >= 500:
            found.append(f"answered {response.status_code}")
        self.failures += [f"{request.method} {request.uri}: {what}\n  {body[:500]}" for what in found]


def _beyond(headers: dict[str, list[str]], body: str) -> bool:
    """Tell whether a request that the schema allows was refused for what no schema can say."""
    problem = json.loads(body)
    slug = problem["type"].removeprefix("urn:problem:")
    if slug == "malformed":  # schemathesis does not keep to the pattern of a header everywhere
        tags = [line for name, lines in headers.items() if name.lower() in {"if-match", "if-none-match"} for line in lines]
        return any(not re.fullmatch(documented.TAGS, line) for line in tags)
    told = [error["detail"] for error in problem.get("errors", [])]
    return slug in _OVERTAKEN or (slug == "validation" and all(_TOGETHER.fullmatch(detail) for detail in told))
