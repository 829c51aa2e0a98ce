"""``inferd bench``: load a model of any KServe v2 server and show how fast it answers."""

import argparse
import asyncio
import ipaddress
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from inferd.cli.arguments import add_model_arguments, positive, shape
from inferd.cli.benchmark import options, plot, report
from inferd.cli.benchmark.measure import Measurement, Result
from inferd.cli.benchmark.options import Measuring
from inferd.cli.benchmark.plan import Level
from inferd.cli.benchmark.preparation import prepare
from inferd.cli.benchmark.processes import LoadProcesses
from inferd.cli.benchmark.progress import ProgressLine
from inferd.cli.benchmark.target import Target
from inferd.cli.clients.client import ClientError, UsageError
from inferd.cli.clients.connection import add_connection_arguments, connect, run_command
from inferd.cpus import usable_cpus

_EPILOG = """\
With a concurrency, so many requests are in flight all the time, and the latency counts from
the moment a request is sent. With a request rate, requests are sent when they are due whether
or not others were answered, and the latency counts from the moment a request is due: what
waits because the server is slow counts (no coordinated omission).

A level is measured in windows of the measurement interval until three in a row differ by
less than --stability-percentage in throughput and latency; those three are reported.

The server is loaded over TCP: -u is HOST:PORT, with HTTP also https://HOST:PORT.

input data (--input-data FILE.json), as perf_analyzer reads it:
  {"data": [{"INPUT0": [1, 2, 3], "INPUT1": {"content": [4, 5, 6], "shape": [3]}},
            {"INPUT0": {"b64": "AAAA"}, "INPUT1": ...}]}
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
    _add_load_arguments(parser.add_argument_group("load"))
    _add_request_arguments(parser.add_argument_group("requests"))
    _add_measuring_arguments(parser.add_argument_group("measuring"))
    _add_report_arguments(parser.add_argument_group("reports"))
    parser.set_defaults(run=run)


def _add_load_arguments(group: "argparse._ArgumentGroup") -> None:
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--concurrency-range",
        type=options.concurrency_range,
        metavar="START[:END[:STEP]]",
        help="requests in flight (default: 1)",
    )
    which.add_argument(
        "--request-rate-range",
        type=options.rate_range,
        metavar="START[:END[:STEP]]",
        help="requests per second",
    )
    group.add_argument(
        "--request-distribution",
        choices=("constant", "poisson"),
        default="constant",
        help="the intervals of a request rate (default: constant)",
    )
    group.add_argument(
        "--processes",
        type=positive,
        help="processes that make the load (default: as many as CPUs; half of them when the "
        "server is on this machine)",
    )
    group.add_argument(
        "--connections",
        type=positive,
        help="connections of each process: gRPC's share the requests in flight (default: 1); HTTP "
        "has one per request in flight, and at most so many with a rate (default: 128)",
    )


def _add_request_arguments(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "-b", "--batch-size", type=positive, default=1, help="rows per request (default: 1)"
    )
    group.add_argument(
        "--shape",
        action="append",
        default=[],
        type=shape,
        metavar="NAME:1,16",
        help="the shape of an input, with or without the batch dimension",
    )
    group.add_argument(
        "--input-data",
        default="random",
        metavar="zero|random|FILE.json",
        help="what is sent; random is drawn once (default: random)",
    )
    group.add_argument("--string-data", metavar="TEXT", help="what BYTES elements hold")
    group.add_argument(
        "--string-length",
        type=positive,
        default=128,
        help="the length of random BYTES elements (default: 128)",
    )
    _add_wire_arguments(group)


def _add_wire_arguments(group: "argparse._ArgumentGroup") -> None:
    for side in ("input", "output"):
        group.add_argument(
            f"--{side}-tensor-format",
            dest=f"{side}_format",
            choices=("binary", "json"),
            default="binary",
            help=f"how {side}s travel over HTTP (default: binary)",
        )
    group.add_argument("--json", action="store_true", help="inputs and outputs as JSON")
    group.add_argument(
        "--streaming",
        action="store_true",
        help="use gRPC's ModelStreamInfer; decoupled models need it",
    )
    group.add_argument(
        "--async",
        "-a",
        action="store_true",
        help="accepted, as perf_analyzer has it: requests are always sent asynchronously",
    )
    group.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        type=options.header,
        metavar="NAME:VALUE",
        help="a further header or metadata entry",
    )


def _add_measuring_arguments(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "-p",
        "--measurement-interval",
        type=positive,
        default=5000,
        metavar="MILLISECONDS",
        help="length of a window (default: 5000)",
    )
    group.add_argument(
        "-s",
        "--stability-percentage",
        type=positive,
        default=10,
        metavar="PERCENT",
        help="(default: 10)",
    )
    group.add_argument(
        "-r",
        "--max-trials",
        type=positive,
        default=10,
        help="windows at most (default: 10)",
    )
    group.add_argument(
        "--percentile",
        type=options.percentile,
        help="the percentile that must be stable, and is shown (default: the mean latency)",
    )
    group.add_argument(
        "--request-count",
        type=options.natural,
        default=0,
        metavar="COUNT",
        help="measure so many requests instead of windows",
    )
    group.add_argument(
        "--warmup-request-count",
        type=options.natural,
        default=0,
        metavar="COUNT",
        help="requests to send before measuring (default: 0)",
    )
    _add_extent_arguments(group)


def _add_extent_arguments(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "-l",
        "--latency-threshold",
        type=options.natural,
        default=0,
        metavar="MILLISECONDS",
        help="end after the first level above this latency",
    )
    group.add_argument(
        "--compare",
        metavar="HOST:PORT",
        help="measure this server, too, in turns, and print the medians and -u's ratio to it",
    )
    group.add_argument(
        "--rounds",
        type=positive,
        default=5,
        help="with --compare, windows of each server (default: 5)",
    )


def _add_report_arguments(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "-f",
        "--file",
        action="append",
        default=[],
        type=options.output_file(".csv", ".json"),
        metavar="FILE.csv|FILE.json",
        help="write the measurements; .csv has perf_analyzer's columns and some more",
    )
    group.add_argument(
        "--plot",
        type=options.output_file(".svg"),
        metavar="FILE.svg",
        help="draw latency over throughput or, with one level, over percentiles",
    )
    group.add_argument("--no-histogram", action="store_true", help="do not draw the latencies")


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
    levels = options.levels(
        args.concurrency_range,
        args.request_rate_range,
        poisson=args.request_distribution == "poisson",
    )
    urls = [args.url, *([args.compare] if args.compare else [])]
    async with AsyncExitStack() as stack:
        targets = []
        for url in urls:
            client = await stack.enter_async_context(connect(args.protocol, url))
            targets.append(await prepare(client, args, url))
        if len({target.name for target in targets}) < len(targets):
            raise UsageError("--compare needs another server than -u")
        count = args.processes or _processes(targets[0].plan.host, levels)
        processes = await stack.enter_async_context(LoadProcesses(count))
        await _measure(args, processes, targets, levels)


async def _measure(
    args: argparse.Namespace, processes: LoadProcesses, targets: list[Target], levels: list[Level]
) -> None:
    """Measure and report; an interruption or a failure ends the one but not the other."""
    progress = ProgressLine(sys.stderr)
    measurement = Measurement(processes, _measuring(args), progress.show)
    work = (
        measurement.compare(targets, levels)
        if args.compare
        else (measurement.sweep(targets[0], levels))
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
    _report(args, results, processes.count)
    if failure is not None:
        raise failure
    if task.cancelled():
        raise KeyboardInterrupt


def _measuring(args: argparse.Namespace) -> Measuring:
    return Measuring(
        interval_ns=args.measurement_interval * 1_000_000,
        requests=args.request_count,
        warmup=args.warmup_request_count,
        stability=args.stability_percentage,
        percentile=args.percentile,
        trials=args.max_trials,
        threshold_ns=args.latency_threshold * 1e6,
        rounds=args.rounds,
    )


def _processes(host: str, levels: list[Level]) -> int:
    """Return how many processes make the load when nobody says."""
    cpus = usable_cpus()
    count = max(cpus // 2, 1) if _is_local(host) else cpus
    if levels[0].rate:
        return count
    return min(count, *(level.concurrency for level in levels))


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _title(args: argparse.Namespace, processes: int) -> str:
    since = "is due" if args.request_rate_range else "is sent"
    how = {"http": "HTTP", "grpc": "gRPC stream" if args.streaming else "gRPC"}[args.protocol]
    if args.protocol == "http":
        how += f", {args.input_format} inputs, {args.output_format} outputs"
    return (
        f"model {args.model_name}, {how}, batch size {args.batch_size}, {processes} load "
        f"process{'es' if processes > 1 else ''}; latency from when a request {since}\n"
    )


def _report(args: argparse.Namespace, results: list[Result], processes: int) -> None:
    if not results:
        return
    if args.compare:
        print(report.comparison(results))
    else:
        for result in results:
            text = report.level_text(
                result, args.percentile, processes, histogram=not args.no_histogram
            )
            print(text + "\n")
        if len(results) > 1:
            print(report.summary(results))
    for file in args.file:
        csv = file.lower().endswith(".csv")
        _write(file, report.as_csv(results) if csv else report.as_json(results, args.percentile))
    if args.plot:
        _write(args.plot, plot.as_svg(plot.plot_of(results, args.model_name)))


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error}") from error
