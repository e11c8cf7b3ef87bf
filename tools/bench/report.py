"""Writes docs/performance.md and docs/performance.svg from what was measured."""

import math
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median, quantiles

from tools.bench import plot
from tools.bench.build import APP, BARE, COMPILED, FASTAPI, FLOOR, NOT_COMPILED, SAME_CLIENT, Function
from tools.bench.requests import CREATE, CREATE_ONCE, GET, LIST, UPDATE
from tools.stages import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"

# List prices of us-east-1, in US dollars for a million: requests to a REST API and to Lambda, write and read units on
# demand. Then a GB-second of x86-64, and a GB of log.
API, INVOCATION, WRITE, READ = 3.50, 0.20, 0.625, 0.125
_GB_SECOND, _LOG_GB = 0.0000166667, 0.50
_FULL_PROCESSOR = 1769  # MB; with less memory a function gets less of a processor (AWS Lambda Developer Guide, "Memory")
_WAIT = 4  # ms for each call of DynamoDB: an assumption, the same for all
_PRICED = (CREATE, GET, LIST, UPDATE)


@dataclass
class Result:
    """What was measured of a function; lists have a value for each process, dictionaries one for each request."""

    function: Function
    cold: dict[str, list[float]] = field(default_factory=dict)
    """By the kind of SDK."""
    peak: list[int] = field(default_factory=list)
    warm: dict[str, list[float]] = field(default_factory=dict)
    profile: dict[str, dict[str, float]] = field(default_factory=dict)
    """By request, the share of each place in the time."""
    logged: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    reads: dict[str, float] = field(default_factory=dict)
    row_bytes: int = 0

    def billed(self, name: str, memory: int) -> int:
        """Return the milliseconds that Lambda bills for a request."""
        return math.ceil(median(self.warm[name]) * 1000 * max(1, _FULL_PROCESSOR / memory) + _WAIT * self.calls[name])

    def dollars(self, name: str, memory: int) -> float:
        """Return the price of a million requests."""
        compute = self.billed(name, memory) * 1000 * memory / 1024 * _GB_SECOND
        units = self.writes[name] * WRITE + self.reads[name] * READ
        return API + INVOCATION + compute + units + self.logged[name] / 1000 * _LOG_GB

    def total(self, memory: int) -> float:
        """Return the price of a million requests, a quarter of each kind."""
        return mean(self.dollars(name, memory) for name in _PRICED)


def write(results: list[Result], rounds: int) -> None:
    """Write both files."""
    ordered = {result.function.name: result for result in results}
    bare = ordered[BARE]
    text = (
        Path(__file__)
        .with_name("template.md")
        .read_text()
        .format(
            times=_times(results),
            units=_units(results),
            dollars=_dollars(results),
            ratios=_ratios(results),
            goals=_goals(ordered),
            profile=_profile(ordered[APP]),
            floor_dollars=f"{ordered[FLOOR].total(256) / bare.total(256):.2f}",
            row=ordered[APP].row_bytes,
            example=_example(bare),
            wait=_WAIT,
            api=f"{API:.2f}",
            invocation=f"{INVOCATION:.2f}",
            gb_second=f"{_GB_SECOND:.10f}",
            write=WRITE,
            read=READ,
            log=f"{_LOG_GB:.2f}",
            processor=_FULL_PROCESSOR,
            rounds=rounds,
            machine=_machine(),
            date=datetime.now(UTC).date(),
            versions=_versions(),
            consistent=f"{2 * bare.reads[LIST]:g}",
            consistent_dollars=f"{bare.total(256) + mean(bare.reads[name] for name in _PRICED) * READ:.2f}",
            eventual=f"{ordered[APP].reads[LIST] / 2:g}",
        )
    )
    DOCUMENT.write_text(text)
    panels = {
        "cold start, ms of CPU (with an SDK that is not compiled)": {name: _cold_bar(one) for name, one in ordered.items()},
        "get, ms of CPU": {name: _bar(median(one.warm[GET]) * 1000, 2) for name, one in ordered.items()},
        "list of 100, ms of CPU": {name: _bar(median(one.warm[LIST]) * 1000, 1) for name, one in ordered.items()},
        "peak memory, MB": {name: _bar(median(one.peak) / 1e6, 0) for name, one in ordered.items()},
    }
    plot.write(DOCUMENT.with_suffix(".svg"), panels, APP)


def _bar(value: float, digits: int) -> tuple[float, str]:
    return value, f"{value:.{digits}f}"


def _cold_bar(one: Result) -> tuple[float, str]:
    """Return the time with a compiled SDK, and a label that also has the time without."""
    times = {kind: median(values) * 1000 for kind, values in one.cold.items()}
    other = f" ({times[NOT_COMPILED]:.0f})" if NOT_COMPILED in times else ""
    return times[COMPILED], f"{times[COMPILED]:.0f}{other}"


def _spread(values: list[float], scale: float) -> str:
    low, middle, high = quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle * scale:,.0f} ({low * scale:,.0f} to {high * scale:,.0f})".replace(",", "")


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _bold(name: str) -> str:
    return f"**{name}**" if name == APP else name


def _times(results: list[Result]) -> str:
    rows = []
    for one in results:
        cold = [_spread(one.cold.get(kind, one.cold[COMPILED]), 1e3) for kind in (COMPILED, NOT_COMPILED)]
        names = (GET, LIST, CREATE, UPDATE, CREATE_ONCE)
        warm = [_spread(one.warm[name], 1e6) if _is_once(one, name) else "" for name in names]
        peak, size = f"{median(one.peak) / 1e6:.0f}", f"{one.function.zip_bytes / 1e6:.3f}"
        rows.append(_row(_bold(one.function.name), *cold, *warm, peak, size))
    return "\n".join(rows)


def _is_once(one: Result, name: str) -> bool:
    """Return whether a function does what the request asks for: some ignore the key."""
    return name != CREATE_ONCE or one.writes[name] > one.writes[CREATE]


def _units(results: list[Result]) -> str:
    rows = []
    for one in results:
        kinds = (CREATE, CREATE_ONCE, GET, LIST, UPDATE)
        cells = [_capacity(one, kind) if _is_once(one, kind) else "" for kind in kinds]
        rows.append(
            _row(_bold(one.function.name), *cells, one.row_bytes, *(one.sent[kind] for kind in _PRICED), one.logged[GET])
        )
    return "\n".join(rows)


def _capacity(one: Result, name: str) -> str:
    used = [f"{one.writes[name]} W"] * bool(one.writes[name]) + [f"{one.reads[name]:g} R"] * bool(one.reads[name])
    return f"{', '.join(used)} in {one.calls[name]}"


def _dollars(results: list[Result]) -> str:
    rows = []
    for one in results:
        for memory in (256, 512):
            prices = [f"{one.dollars(kind, memory):.2f}" for kind in _PRICED]
            rows.append(_row(_bold(one.function.name), memory, *prices, f"{one.total(memory):.2f}"))
    return "\n".join(rows)


def _ratios(results: list[Result]) -> str:
    app, *others = results
    rows = []
    for other in others:
        cold = [median(other.cold.get(kind, other.cold[COMPILED])) for kind in (COMPILED, NOT_COMPILED)]
        cells = [one / median(app.cold[COMPILED]) for one in cold]
        cells += [median(other.warm[name]) / median(app.warm[name]) for name in (GET, LIST, CREATE, UPDATE)]
        cells += [median(other.peak) / median(app.peak)]
        cells += [other.total(memory) / app.total(memory) for memory in (256, 512)]
        rows.append(_row(other.function.name, *(f"{cell:.2f}" for cell in cells)))
    return "\n".join(rows)


def _goals(ordered: dict[str, Result]) -> str:
    """Return a row for each goal: what the other needs, divided by what this app needs, and the least that was wanted."""
    app, bare, fastapi, client = (ordered[name] for name in (APP, BARE, FASTAPI, SAME_CLIENT))

    def cold(other: Result) -> float:
        return median(other.cold[NOT_COMPILED]) / median(app.cold[COMPILED])

    def warm(other: Result, name: str) -> float:
        return median(other.warm[name]) / median(app.warm[name])

    goals: list[tuple[str, float, float]] = [("list of 100, bare handlers", 3, warm(bare, LIST))]
    goals += [(f"{name}, bare handlers", 1.2, warm(bare, name)) for name in (CREATE, GET, UPDATE)]
    goals += [
        ("cold start, bare handlers", 3, cold(bare)),
        ("peak memory, bare handlers", 1 / 0.85, median(bare.peak) / median(app.peak)),
        ("dollars with 256 MB, bare handlers", 1 / 0.95, bare.total(256) / app.total(256)),
        ("cold start, FastAPI and Mangum", 6, cold(fastapi)),
        ("list of 100, FastAPI and Mangum", 4, warm(fastapi, LIST)),
    ]
    goals += [(f"{name}, bare handlers on this app's client", 1 / 1.15, warm(client, name)) for name in _PRICED]
    return "\n".join(
        _row(name, f"{wanted:.2f}", f"{is_:.2f}", "met" if is_ >= wanted else "**missed**") for name, wanted, is_ in goals
    )


def _profile(app: Result) -> str:
    shares = [app.profile[name] for name in (GET, CREATE, UPDATE)]
    return "\n".join(f"  {_row(place, *(f'{share[place]:.0%}' for share in shares))}" for place in shares[0])


def _example(one: Result) -> str:
    cpu, memory = median(one.warm[LIST]) * 1000, 256
    billed, reads, logged = one.billed(LIST, memory), one.reads[LIST], one.logged[LIST]
    return (
        f"A list of 100 of the bare handlers with {memory} MB: {cpu:.2f} ms x {_FULL_PROCESSOR} / {memory} + {_WAIT} ms is"
        f" {billed} ms, rounded up; {API:.2f} + {INVOCATION:.2f} + {billed} x 1000 x {memory} / 1024 x {_GB_SECOND:.10f}"
        f" + {reads:g} x {READ} + {logged} / 1000 x {_LOG_GB:.2f} = {one.dollars(LIST, memory):.2f}"
    )


def _machine() -> str:
    info = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.partition(": ")[2] for line in info.splitlines() if line.startswith("model name")), platform.machine()
    )
    load = f"load average at the end {os.getloadavg()[2]:.0f}"
    return f"{os.cpu_count()} processors ({model}), {platform.system()}, Python {platform.python_version()}, {load}"


def _versions() -> str:
    names = ("boto3", "chalice", "msgspec")
    return ", ".join(f"{name} {version(name)}" for name in names)
