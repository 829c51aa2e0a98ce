"""``inferd bench``: load a model of any KServe v2 server and show how fast it answers."""

import argparse
import asyncio
import ipaddress
import signal
import sys
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path

from inferd.cli.arguments import add_model_arguments
from inferd.cli.benchmark import csv_table, drawing, options, plot, report
from inferd.cli.benchmark.arguments import add_bench_arguments
from inferd.cli.benchmark.extent import Extent, extent
from inferd.cli.benchmark.measure import Measurement, Result
from inferd.cli.benchmark.options import Measuring
from inferd.cli.benchmark.plan import Plan, parts
from inferd.cli.benchmark.preparation import prepare
from inferd.cli.benchmark.processes import LoadProcesses
from inferd.cli.benchmark.progress import ProgressLine
from inferd.cli.benchmark.target import Target
from inferd.cli.clients.client import ClientError, UsageError
from inferd.cli.clients.connection import add_connection_arguments, connect, run_command
from inferd.cli.clients.tls import ClientTls
from inferd.cpus import usable_cpus

_EPILOG = """\
With a concurrency, so many requests are in flight all the time, and the latency counts from
the moment a request is sent. With a request rate, requests are sent when they are due whether
or not others were answered, and the latency counts from the moment a request is due: what
waits because the server is slow counts (no coordinated omission).

A level is measured in windows of the measurement interval until three in a row differ by
at most --stability-percentage in throughput and latency; those three are reported.

A model that takes sequences gets whole ones: a request in flight of each at a time, and those
that a measurement interrupts are ended after it.

input data, as perf_analyzer reads it: a folder with a file per input, or FILE.json:
  {"data": [{"INPUT0": [1, 2, 3], "INPUT1": {"content": [4, 5, 6], "shape": [3]}},
            {"INPUT0": {"b64": "AAAA"}, "INPUT1": ...}]}
  {"data": [[{...}, {...}], [{...}]]}       two streams, which sequences take in turns

-f FILE.csv has a row per level with perf_analyzer's columns in microseconds, and Failed and
Server. "Client Send" and "Client Recv" are 0: "Network+Server Send/Recv" is all of the latency
that the server's statistics do not account for. --verbose-csv adds the mean and largest latency,
its standard deviation, the 99.9th percentile, the time to the first response of decoupled models,
the rates of requests and responses, the mean batch size, and the processor time of the load.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "bench",
        help="load a model and measure throughput and latency",
        description="Load a model of any KServe v2 server and measure throughput and latency.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_arguments(parser)
    add_connection_arguments(parser)
    add_bench_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and report."""
    return run_command("bench", _bench(args))


async def _bench(args: argparse.Namespace) -> None:
    if args.json:
        args.input_format = args.output_format = "json"
    if args.protocol == "grpc" and "json" in (args.input_format, args.output_format):
        raise UsageError("tensors travel as JSON over HTTP only: use -i http")
    if args.protocol == "http" and args.streaming:
        raise UsageError("streaming is only possible with the gRPC protocol: use -i grpc")
    if args.protocol == "http" and args.grpc_compression_algorithm:
        raise UsageError("requests are compressed with the gRPC protocol only: use -i grpc")
    args.input_data = args.input_data or ["random"]
    _check_plots(args.plot)
    which = _extent(args)
    tls = ClientTls(
        args.tls_root,
        args.tls_certificate,
        args.tls_key,
        checks_peer=args.ssl_https_verify_peer > 0,
        checks_host=args.ssl_https_verify_host > 0,
    )
    urls = [args.url, *([args.compare] if args.compare else [])]
    async with AsyncExitStack() as stack:
        targets = []
        for url in urls:
            url = _encrypted(url) if args.ssl_grpc_use_ssl and args.protocol == "grpc" else url
            client = await stack.enter_async_context(connect(args.protocol, url, tls))
            targets.append(await prepare(client, args, url, tls))
        if len({target.name for target in targets}) < len(targets):
            raise UsageError("--compare needs another server than -u")
        _check_ids(targets[0].plan, which)
        count = args.processes or _processes(targets[0].plan, which)
        processes = await stack.enter_async_context(LoadProcesses(count))
        await _measure(args, processes, targets, which)


async def _measure(
    args: argparse.Namespace, processes: LoadProcesses, targets: list[Target], which: Extent
) -> None:
    """Measure and report; an interruption or a failure ends the one but not the other."""
    progress = ProgressLine(sys.stderr)
    measurement = Measurement(processes, _measuring(args), progress.show)
    work = (
        measurement.compare(targets, which.levels())
        if args.compare
        else measurement.sweep(targets[0], which.search())
    )
    print(_title(args, processes.count), flush=True)
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    failure: ClientError | None = None
    try:
        await task
    except ClientError as error:
        failure = error
    except asyncio.CancelledError:
        print("interrupted: this is what was measured so far")
    progress.clear()
    results = [result for result in measurement.results if result.sample.answered]
    _report(args, results)
    if failure is not None:
        raise failure
    if task.cancelled():
        raise KeyboardInterrupt


def _measuring(args: argparse.Namespace) -> Measuring:
    return Measuring(
        interval_ns=(
            args.measurement_interval * 1_000_000 if args.measurement_mode == "time_windows" else 0
        ),
        window_requests=(
            args.measurement_request_count if args.measurement_mode == "count_windows" else 1
        ),
        requests=args.request_count,
        warmup=args.warmup_request_count,
        stability=args.stability_percentage,
        percentile=args.percentile,
        trials=args.max_trials,
        threshold_ns=args.latency_threshold * 1e6,
        rounds=args.rounds,
    )


def _extent(args: argparse.Namespace) -> Extent:
    """
    Return the levels that are measured.

    Raises:
        UsageError: The options do not say where they end.
    """
    intervals: tuple[int, ...] = ()
    if args.request_intervals:
        try:
            text = Path(args.request_intervals).read_text()
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {args.request_intervals}: {error}") from error
        intervals = options.read_intervals(text, args.request_intervals)
    found = extent(
        args.concurrency_range,
        args.request_rate_range,
        intervals,
        poisson=args.request_distribution == "poisson",
        is_binary=args.binary_search,
    )
    is_open = found.range is not None and not found.range.end
    if (is_open or args.binary_search) and not args.latency_threshold:
        raise UsageError("a search without an end, or a binary one, needs --latency-threshold")
    if args.compare and (is_open or args.binary_search):
        raise UsageError("--compare measures every level of a range: give START:END[:STEP]")
    return found


def _encrypted(url: str | None) -> str:
    found = url or "localhost"
    return found if "://" in found or found.startswith("unix:") else f"grpcs://{found}"


def _check_plots(files: list[str]) -> None:
    """
    Find out before the measurement whether plots can be drawn.

    Raises:
        UsageError: Pillow is missing.
    """
    if any(file.lower().endswith(".png") for file in files) and not find_spec("PIL"):
        raise UsageError(
            "a PNG plot needs Pillow: install inferd[images], or name a file that ends in .svg"
        )


def _check_ids(plan: Plan, which: Extent) -> None:
    """
    Find out whether there are ids for all sequences that are alive at a time.

    Raises:
        UsageError: There are too few.
    """
    sequences = plan.sequences
    if sequences is None or not sequences.end_id:
        return
    if which.range is not None and not which.range.end:
        raise UsageError("a search without an end needs a --sequence-id-range without one")
    ids = sequences.end_id - sequences.first_id
    live = max(level.concurrency or sequences.live for level in which.levels())
    if ids < live:
        raise UsageError(
            f"--sequence-id-range has {ids} ids for {live} sequences that are alive at a time"
        )


def _processes(plan: Plan, which: Extent) -> int:
    """Return how many processes make the load when nobody says."""
    cpus = usable_cpus()
    count = max(cpus // 2, 1) if _is_local(plan) else cpus
    if which.range is None or not which.range.end:
        return count
    return max(parts(plan, level, count) for level in which.levels())


def _is_local(plan: Plan) -> bool:
    if plan.socket_path or plan.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(plan.host).is_loopback
    except ValueError:
        return False


def _title(args: argparse.Namespace, processes: int) -> str:
    is_rate = args.request_rate_range or args.request_intervals
    how = {"http": "HTTP", "grpc": "gRPC stream" if args.streaming else "gRPC"}[args.protocol]
    if args.protocol == "http":
        how += f", {args.input_format} inputs, {args.output_format} outputs"
    return (
        f"model {args.model_name}, {how}, batch size {args.batch_size}, {processes} load "
        f"process{'es' if processes > 1 else ''}; latency from when a request "
        f"{'is due' if is_rate else 'is sent'}\n"
    )


def _report(args: argparse.Namespace, results: list[Result]) -> None:
    if not results:
        return
    if args.compare:
        print(report.comparison(results))
    else:
        for result in results:
            text = report.level_text(result, args.percentile, histogram=not args.no_histogram)
            print(text + "\n")
        if len(results) > 1:
            print(report.summary(results))
        if args.latency_threshold:
            print(report.verdict(results, args.latency_threshold, args.percentile))
    for file in args.file:
        if file.lower().endswith(".csv"):
            text = csv_table.as_csv(results, args.percentile, is_verbose=args.verbose_csv)
        else:
            text = report.as_json(results, args.percentile)
        _write(file, text.encode())
    if args.plot:
        drawn = plot.laid_out(plot.plot_of(results, args.model_name))
        for file in args.plot:
            is_png = file.lower().endswith(".png")
            _write(file, drawing.as_png(drawn) if is_png else drawing.as_svg(drawn))


def _write(file: str, content: bytes) -> None:
    try:
        Path(file).write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error}") from error
