"""`make bench`: builds the functions, measures them in turns, and writes docs/performance.md and docs/performance.svg."""

import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from tools.bench import build, report, requests, units
from tools.bench.build import COMPILED, Function
from tools.bench.dynamodb import PAGE
from tools.bench.report import Result
from tools.bench.requests import CREATE, GET, LIST, MEMBERS
from tools.bench.units import Attributes
from tools.errors import CommandError

_HERE = Path(__file__).parent
_COUNTS = dict.fromkeys(requests.events(), 60) | {LIST: 20}


class _Bench:
    """A function, its DynamoDB, and what was measured."""

    def __init__(self, function: Function, stack: ExitStack, log: Path) -> None:
        self.log = log
        server = subprocess.Popen([sys.executable, "-m", "tools.bench.dynamodb"], stdout=subprocess.PIPE, text=True)
        stack.enter_context(server)
        stack.callback(server.terminate)
        assert server.stdout  # noqa: S101 - for the type checker
        self._endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        self.result = Result(function)

    def trace(self) -> None:
        """Send each request once, and store the calls that it makes; the first one gives DynamoDB its responses."""
        traced = self._run(COMPILED, CREATE, dict.fromkeys(_COUNTS, 0), profile=True)
        self.result.logged, self.result.profile = traced["logged"], traced["profile"]
        responses = {name: json.loads(body) for name, body in traced["bodies"].items()}
        tasks = [task for body in responses.values() for task in body.get("tasks", [body])]
        if len(tasks) != len(responses) - 1 + PAGE or any(task.keys() != MEMBERS for task in tasks):
            message = f"{self.result.function.name} does not return the tasks. Correct it, then run make bench again."
            raise CommandError(message)
        calls = {
            name: [(operation, json.loads(body)) for operation, body in calls] for name, calls in traced["calls"].items()
        }
        ((_, put),) = calls[CREATE]
        item = put["Item"]
        self.result.row_bytes = units.size(item)

        def stored(key: Attributes) -> Attributes:
            return item | key if "SK" in key else {}

        for name, made in calls.items():
            self.result.calls[name] = len(made)
            self.result.sent[name] = sum(len(body) for _, body in traced["calls"][name])
            self.result.writes[name] = sum(units.writes(operation, body, stored) for operation, body in made)
            self.result.reads[name] = sum(
                units.reads(operation, body, [item] * (PAGE if operation == "Query" else 1)) for operation, body in made
            )

    def measure(self, sdk: str) -> None:
        """Start a process, and measure its first request, and then the requests in random order."""
        order = random.sample(list(_COUNTS.items()), len(_COUNTS))
        measured = self._run(sdk, GET, dict(order))
        self.result.cold.setdefault(sdk, []).append(measured["cold"])
        self.result.peak.append(measured["peak"])
        for name, seconds in measured["warm"].items():
            self.result.warm.setdefault(name, []).append(seconds)

    def _run(self, sdk: str, first: str, counts: dict[str, int], *, profile: bool = False) -> Any:
        function = self.result.function
        plan = {
            "path": function.paths[sdk], "module": function.module, "handler": function.handler, "log": str(self.log),
            "events": requests.events(), "first": first, "counts": counts, "endpoint": self._endpoint, "profile": profile,
        }  # fmt: skip
        # Without site-packages of this environment, and without writing bytecode: Lambda's file system is read-only.
        done = subprocess.run(  # noqa: S603 - no shell
            [sys.executable, "-I", "-S", "-B", str(_HERE / "process.py")],
            env=requests.environment(self._endpoint), input=json.dumps(plan), check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            message = f"{function.name} failed. Correct this, then run make bench again:\n{done.stderr}"
            raise CommandError(message)
        return json.loads(done.stdout)


def main() -> int:
    """Run the rounds and write the report; return the exit status."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 5
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            print("Building the zips ...", flush=True)
            benches = [_Bench(function, stack, folder / "log") for function in build.build(folder)]
            for bench in benches:
                bench.trace()
            processes = [(bench, sdk) for bench in benches for sdk in bench.result.function.paths]
            for number in range(1, rounds + 1):
                started = time.monotonic()
                for bench, sdk in random.sample(processes, len(processes)):
                    bench.measure(sdk)
                app = benches[0].result
                so_far = median(app.cold[COMPILED]) * 1000, median(app.warm[LIST]) * 1000
                print(
                    f"round {number} of {rounds}, {time.monotonic() - started:.0f} s; this app so far:"
                    " cold start {:.0f} ms, list of 100 {:.1f} ms".format(*so_far),
                    flush=True,
                )
        except CommandError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Stopped. Nothing was written; to start again: make bench")
            return 130
    report.write([bench.result for bench in benches], rounds)
    print("Wrote docs/performance.md and docs/performance.svg.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
