"""Fuzzes `make run` against its OpenAPI document: `make fuzz`, and a short run in tests/faults/test_fuzz.py.

Schemathesis generates valid and invalid requests, single and in chains, and compares the responses with the document.
documented.py compares them again, because it also covers methods that are not in the document.
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
from tests.support.local_server import TIMEOUT, LocalServer, copy_checkout, lengthen_timeouts

CASES = 10_000  # of `make fuzz`
_MAX_SHOWN = 20
_PROGRESS_STEP = 1000
# A schema cannot express these reasons to reject a valid request: an earlier request, ...
_STATE_PROBLEMS = {"invalid-cursor", "precondition-failed", "idempotency-key-reused"}
# ... and values that are valid alone, but not together or not in this stage.
_STAGE_RULES = re.compile(r"requires `status`|is too long: .*|must be in a supported country")


def map_body(_context: HookContext, body: Any) -> Any:
    """Replace a phone number with one in a supported country: hardly any random number is."""
    if isinstance(body, dict) and re.fullmatch(r"\+[1-9][0-9]{6,14}", str(body.get("to"))):
        return body | {"to": f"+1202555{body['to'][-4:]}"}
    return body


schemathesis.hook(map_body)  # called at the point that its name says
OPERATIONS = {f"{method.upper()} {path}" for path, methods in documented.DOCUMENT["paths"].items() for method in methods}


class Fuzz:
    """Fuzzes an API with the tokens of an admin and of a machine, and collects failures and counts."""

    def __init__(self, api: LocalServer) -> None:
        self._api = api
        admin, machine = api.token("admin"), api.tools("machine-token").stdout.strip()
        self._tokens = {"users": admin, "machines": machine}
        self.cases = self.steps = self._reported = 0
        self.statuses: Counter[int] = Counter()
        self.routes: Counter[str] = Counter()
        self.successes: set[str] = set()
        self.failures: list[str] = []

    def run(self, cases: int, examples: int, seed: int, progress: Callable[[str], object] = lambda _: None) -> None:
        """Run at least so many cases; a seed repeats its cases, except those that depend on responses."""
        began = time.monotonic()
        phases = None  # all: examples, boundaries of each rule, random values, chains
        while self.cases < cases:
            for event in from_schema(self._schema(examples, seed, phases)).execute():
                self._process(event)
                if self.cases >= self._reported + _PROGRESS_STEP:
                    self._reported = self.cases
                    progress(f"{self.cases} cases, {time.monotonic() - began:.0f} s, {len(self.failures)} failures")
            phases, seed = {"examples": {"enabled": False}, "coverage": {"enabled": False}}, seed + 1
        # An API that rejects every request would have no other failures.
        self.failures += [f"{name} has never succeeded" for name in sorted(OPERATIONS - self.successes)]

    def report(self) -> str:
        """Return failures and counts."""
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        routes = ", ".join(f"{route}: {count}" for route, count in sorted(self.routes.items()))
        more = [f"... and {len(self.failures) - _MAX_SHOWN} more"] * (len(self.failures) > _MAX_SHOWN)
        figures = f"{self.cases} cases, {self.steps} of them from the response before; {len(self.failures)} failures"
        return "\n".join([*self.failures[:_MAX_SHOWN], *more, f"Routes: {routes}", f"Statuses: {statuses}", figures])

    def _schema(self, examples: int, seed: int, phases: dict[str, Any] | None) -> Any:
        settings = {
            "base-url": self._api.url,
            "seed": seed,
            "continue-on-failure": True,
            "request-timeout": TIMEOUT,
            "auth": {"openapi": {name: {"bearer": token} for name, token in self._tokens.items()}},
            "generation": {
                "max-examples": examples,
                "database": "none",
                "no-shrink": True,
                "with-security-parameters": phases is None,  # the first run covers wrong tokens
            },
            "suppress-health-check": ["all"],
            "phases": phases or {},
        }
        # As plain bearer tokens, which OAuth2 tokens are: it omits and alters no others.
        bearer = {name: {"type": "http", "scheme": "bearer"} for name in self._tokens}
        document = documented.DOCUMENT | {"components": documented.DOCUMENT["components"] | {"securitySchemes": bearer}}
        return schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(settings))

    def _process(self, event: events.EngineEvent) -> None:
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
            self.failures.append(f"No response to {request.method} {request.uri}")
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
            if check.failure_info
            and not (check.name == "positive_data_acceptance" and is_expected_rejection(request.headers, body))
        ]
        path = request.uri.removeprefix(self._api.url)
        route = path.partition("?")[0]
        sent_headers = {name: ", ".join(lines) for name, lines in request.headers.items()}
        sent = leaks.Sent(sent_headers, request.body, leaks.path_values(path))
        self._api.sent.append(sent)
        try:
            leaks.check_response(request.method, route, response.status_code, headers, body, sent)
            if request.method not in {"HEAD", "TRACE"}:  # a response to HEAD has no body
                documented.assert_documented(request.method, route, response.status_code, headers, body)
        except (AssertionError, KeyError) as error:
            found.append(f"{type(error).__name__}: {error}")
        if response.status_code >= 500:
            found.append(f"returned {response.status_code}")
        self.failures += [f"{request.method} {request.uri}: {what}\n  {body[:500]}" for what in found]


def is_expected_rejection(headers: dict[str, list[str]], body: str) -> bool:
    """Return whether a request that the schema allows was rejected for a reason that no schema can express."""
    problem = json.loads(body)
    slug = problem["type"].removeprefix("urn:problem:")
    if slug == "malformed":  # schemathesis does not always follow the pattern of a header
        tags = [line for name, lines in headers.items() if name.lower() in {"if-match", "if-none-match"} for line in lines]
        return any(not re.fullmatch(documented.TAG_PATTERN, line) for line in tags)
    details = [error["detail"] for error in problem.get("errors", [])]
    by_stage = bool(details) and all(_STAGE_RULES.fullmatch(detail) for detail in details)
    return slug in _STATE_PROBLEMS or (slug == "validation" and by_stage)


def start_server(folder: Path) -> LocalServer:
    """Start `make run` in a copy with high SMS limits."""
    copy = lengthen_timeouts(copy_checkout(folder / "copy"))
    config = copy / ".chalice" / "config.json"
    limits = '"(SMS_PER_CLIENT_AND_MINUTE|SMS_PER_NUMBER_AND_HOUR|SMS_PARTS_PER_DAY)": "[0-9]+"'
    config.write_text(re.sub(limits, r'"\1": "1000000"', config.read_text()))
    server = LocalServer(folder / "home", copy)
    server.start()
    return server


def fuzz(cases: int, examples: int, seed: int, progress: Callable[[str], object] = lambda _: None) -> Fuzz:
    """Start the API, fuzz it, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        api = start_server(Path(folder))
        try:
            found = Fuzz(api)
            found.run(cases, examples, seed, progress)
        finally:
            api.stop()
    return found


def main() -> int:
    """Fuzz with the seed in the first argument, or with a new one."""
    seed = int(sys.argv[1]) if sys.argv[1:] else int(time.time())
    print(f"Starting the API, then running at least {CASES} cases. To repeat them: make fuzz SEED={seed}")
    found = fuzz(CASES, 100, seed, print)
    print(found.report())
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
