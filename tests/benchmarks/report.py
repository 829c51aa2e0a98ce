"""
Renders what was measured as Markdown.
"""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cases import MEMORY_BYTES
from outcome import ECHO, NATIVE, TWIN, Measured, median

_OTHER = "other"


def render(measured: Measured) -> str:
    """Render everything with what is needed to read it."""
    return f"""# Server

{machine()}
Client (h2load, one thread) and server share the machine; one server process. {measured.rounds}
round(s) that alternate between all rows of all tables; medians. {options(measured)}
{measured.note}

![requests per second](server.svg)

{targets(measured)}

Add/sub is `simple` with dynamic batching, INT32[1,16] twice, in ONNX Runtime on one thread. All
others are the built-in identity model, whose outputs are its inputs. gRPC is one connection
where nothing else is said. Resident memory is that of the server after all of it, with the
ONNX plugin loaded: {measured.memory.resident / 1e6:.0f} MB, or
{measured.memory.proportional / 1e6:.0f} MB with what it shares divided among those who share it
(PSS). It was ready {measured.ready_seconds:.2f} s after its start. Whether memory stays flat is
measured apart: [soak.md](soak.md).

## In comparison

The bare echo is the same HTTP/2 kernel on uvloop that sends every message back; over HTTP, a
bare protocol on uvloop that answers with the same bytes. ONNX Runtime alone is `session.run`
in a loop on one thread, in batches of the mean size; rows per second. The identity model has
no framework. Other load: the share of the machine that neither server nor client took.

{comparison(measured)}

{_parts(measured)}"""


def _parts(measured: Measured) -> str:
    return f"""## What a request costs

Processor time of the server in µs per request. Total, user and kernel are of the measured
runs. The stages are the same objects called alone in a process of their own, without sockets:
`schedule` is the check of the request, the queue, and the settling of its future, `execute` is
gather, backend and scatter. The rest is what user time is left: event loop, sockets and the
Python between the stages.

{costs(measured)}

## Without native modules

The same server as where nothing of inferd-kernels was built: codecs in Python, gRPC on
grpclib.

{twins(measured)}

## Numbers in JSON

Reading a request into its tensor and writing the response, with the server's checks, against
`orjson.loads`, `numpy.array` and `orjson.dumps` on the same text. The first text is the one
of the target; [json.md](json.md) has more.

{texts(measured)}
{others(measured)}"""


def targets(measured: Measured) -> str:
    """Return the table of the targets."""
    rows = []
    for case in measured.cases:
        reached = measured.reached(case)
        runs = measured.runs(case, NATIVE)
        rates = [run.rate for run in runs]
        cells = [
            case.name,
            reached.target,
            reached.text,
            yes(reached.holds),
            f"{measured.rate(case, NATIVE):,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
            f"{median(runs, 'p50'):.2f}",
            f"{median(runs, 'p99'):.2f}",
        ]
        rows.append(cells)
    resident = f"{measured.memory.resident / 1e6:.0f} MB"
    limit = f"< {MEMORY_BYTES / 1e6:.0f} MB"
    rows.append(["resident memory", limit, resident, yes(measured.memory_holds()), *4 * [""]])
    head = ("case", "at least", "reached", "holds", "requests/s", "min to max", "p50 ms", "p99 ms")
    return table(head, rows, left=4)


def comparison(measured: Measured) -> str:
    """Return the table of ratios to the echo and to the framework."""
    rows = []
    for case in measured.cases:
        runs, loop = measured.runs(case, NATIVE), measured.loop(case)
        rate, echo = measured.rate(case, NATIVE), measured.runs(case, ECHO)
        cells = [
            case.name,
            f"{rate:,.0f}",
            f"{measured.rate(case, ECHO):,.0f}",
            f"{median(echo, 'user') + median(echo, 'system'):.1f}",
            _ratio(measured.share(case, ECHO)),
            f"{median(runs, 'batch'):.1f}",
            f"{loop.rows:,.0f}" if loop else "",
            _ratio(rate / loop.rows if loop else None),
            f"{median(runs, 'others'):.2f}",
        ]
        rows.append(cells)
    head = (
        "case",
        "requests/s",
        "bare echo/s",
        "its CPU µs",
        "of the echo",
        "mean batch",
        "ONNX Runtime alone/s",
        "of that",
        "other load",
    )
    return table(head, rows)


def costs(measured: Measured) -> str:
    """Return the table of processor time by stage."""
    rows = []
    for case in measured.cases:
        runs, stages = measured.runs(case, NATIVE), measured.stages.get(case.name)
        if stages is None:
            continue
        user, system = median(runs, "user"), median(runs, "system")
        parts = list(astuple(stages))
        figures = [*parts, user - sum(parts), user, system, user + system]
        rows.append([case.name, *(f"{figure:,.1f}" for figure in figures)])
    head = ("case", "framing", "decode", "schedule", "execute", "encode", "rest", "user")
    return table((*head, "kernel", "total"), rows)


def twins(measured: Measured) -> str:
    """Return the table of the server without native modules."""
    rows = []
    for case in measured.cases:
        runs = measured.runs(case, TWIN)
        cells = [
            case.name,
            f"{measured.rate(case, TWIN):,.0f}",
            f"{median(runs, 'p50'):.2f}",
            f"{median(runs, 'p99'):.2f}",
            f"{median(runs, 'user'):,.0f} + {median(runs, 'system'):,.0f}",
            f"{median(runs, 'batch'):.1f}",
            _ratio(measured.share(case, TWIN)),
        ]
        rows.append(cells)
    head = ("case", "requests/s", "p50 ms", "p99 ms", "CPU µs, user + kernel", "mean batch")
    return table((*head, "native is x"), rows)


def texts(measured: Measured) -> str:
    """Return the table of JSON texts."""
    rows = [
        [
            name,
            f"{cost.text_bytes / 1e6:.2f}",
            f"{cost.server_us / 1000:.2f}",
            f"{cost.orjson_us / 1000:.2f}",
            _ratio(cost.ratio),
        ]
        for name, cost in measured.texts.items()
    ]
    return table(("numbers", "MB", "inferd ms", "orjson + NumPy ms", "inferd is x"), rows)


def others(measured: Measured) -> str:
    """Return a section about the other server, if there was one."""
    rows = [
        [
            case.name,
            f"{measured.rate(case, _OTHER):,.0f}",
            f"{median(measured.runs(case, _OTHER), 'p99'):.2f}",
            _ratio(measured.share(case, _OTHER)),
        ]
        for case in measured.cases
        if measured.runs(case, _OTHER)
    ]
    if not rows:
        return ""
    return (
        f"\n## The other server\n\n{table(('case', 'requests/s', 'p99 ms', 'inferd is x'), rows)}\n"
    )


def options(measured: Measured) -> str:
    """Return what our server was started with."""
    if not measured.options:
        return "The server's options are the defaults."
    return f"The server has `{' '.join(measured.options)}`."


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table whose first columns are aligned to the left."""
    marks = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))


def machine() -> str:
    """Return what the machine is and which versions ran."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ", ".join(
        f"{name} {_version(name)}" for name in ("inferd", "onnxruntime", "uvloop", "numpy")
    )
    processor = models[0] if models else platform.machine()
    return f"{processor}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}."


def yes(holds: bool) -> str:
    """Return a word; a target that does not hold stands out."""
    return "yes" if holds else "**no**"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
