"""Measures one function in a process of its own, which imports little else: reads a plan from stdin, prints the results.

Times are the CPU time of this process, in seconds, with all its threads.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

WARM_UP = 5
PROFILED = 300
PLACES = {
    "Chalice": ("/chalice/",),
    "this app": ("/chalicelib/", "/task/app.py"),
    "botocore": ("/botocore/",),
    "urllib3, http.client and email": ("/urllib3/", "/http/client.py", "/email/"),
    "socket": ("_socket.socket",),
}
"""Where a profile says that time went: the first that has one of the parts in its path. All else is the last place."""
OTHERS = "the rest of Python and msgspec"


class Context:
    """The context that Lambda passes to a function."""

    aws_request_id = "11111111-2222-3333-4444-555555555555"
    function_name = "tasks"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:tasks"
    memory_limit_in_mb = 256

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the timeout."""
        return 60_000


def main() -> None:
    """Measure the first request with all imports, then each request of the plan."""
    plan = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, Path(plan["log"]).open("w", buffering=1)  # noqa: SIM115 - until this process ends
    sys.path[:0] = plan["path"]
    started = time.process_time()
    handler = getattr(importlib.import_module(plan["module"]), plan["handler"])
    _send(handler, plan["events"][plan["first"]])
    results: dict[str, Any] = {"cold": time.process_time() - started, "warm": {}, "calls": {}, "logged": {}, "bodies": {}}
    if plan.get("profile"):
        results["profile"] = {name: _profile(handler, event) for name, event in plan["events"].items()}
    for name, count in plan["counts"].items():
        event = plan["events"][name]
        if not count:
            calls, logged, body = _trace(handler, event, plan["endpoint"])
            results["calls"][name], results["logged"][name], results["bodies"][name] = calls, logged, body
            continue
        for _ in range(WARM_UP):
            _send(handler, event)
        started = time.process_time()
        for _ in range(count):
            _send(handler, event)
        results["warm"][name] = (time.process_time() - started) / count
    status = Path("/proc/self/status").read_text()  # not ru_maxrss, which starts with that of the parent process
    results["peak"] = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    json.dump(results, output)


def _send(handler: Any, event: Any) -> str:
    response = handler(event, Context())
    if not 200 <= response["statusCode"] < 300:  # noqa: PLR2004 - what a success is
        raise SystemExit(str(response))
    return str(response["body"])


def _profile(handler: Any, event: Any) -> dict[str, float]:
    """Return the share of each place in the time of a request; a built-in function counts where it is called."""
    from cProfile import Profile  # noqa: PLC0415 - not in a process that is measured

    profile = Profile()
    profile.enable()
    for _ in range(PROFILED):
        _send(handler, event)
    profile.disable()
    spent = dict.fromkeys([*PLACES, OTHERS], 0.0)
    for entry in profile.getstats():
        if isinstance(entry.code, str):
            continue
        spent[_place(entry.code.co_filename)] += entry.inlinetime
        for call in entry.calls or []:
            if isinstance(call.code, str):
                spent[_place(call.code if "_socket" in call.code else entry.code.co_filename)] += call.inlinetime
    return {place: seconds / sum(spent.values()) for place, seconds in spent.items()}


def _place(code: str) -> str:
    return next((place for place, parts in PLACES.items() if any(part in code for part in parts)), OTHERS)


def _trace(handler: Any, event: Any, endpoint: str) -> tuple[Any, int, str]:
    """Return the calls of DynamoDB, the logged bytes and the body of the response of a request."""
    from urllib.request import urlopen  # noqa: PLC0415 - not in a process that is measured

    urlopen(endpoint).read()  # noqa: S310 - on this machine
    logged = sys.stdout.tell()
    body = _send(handler, event)
    with urlopen(endpoint) as response:  # noqa: S310
        return json.load(response), sys.stdout.tell() - logged, body


if __name__ == "__main__":
    main()
