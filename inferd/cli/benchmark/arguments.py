"""The options of ``inferd bench``, by perf_analyzer's names where it has them."""

import argparse

from inferd.cli.arguments import positive, shape
from inferd.cli.benchmark import options


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every option that no other command has."""
    _add_tls_arguments(parser)
    _add_load_arguments(parser.add_argument_group("load"))
    _add_sequence_arguments(parser.add_argument_group("sequence models"))
    _add_request_arguments(parser.add_argument_group("requests"))
    _add_measuring_arguments(parser.add_argument_group("measuring"))
    _add_report_arguments(parser.add_argument_group("reports"))
    _add_accepted_arguments(
        parser.add_argument_group("options of perf_analyzer that change nothing here")
    )


def _add_tls_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ssl-grpc-use-ssl", action="store_true", help="-i grpc -u HOST:PORT is encrypted"
    )
    for names, dest, what in (
        (
            ("--ssl-grpc-root-certifications-file", "--ssl-https-ca-certificates-file"),
            "tls_root",
            "the roots that are trusted (default: SSL_CERT_FILE, or the system's)",
        ),
        (
            ("--ssl-grpc-certificate-chain-file", "--ssl-https-client-certificate-file"),
            "tls_certificate",
            "the client's own certificate",
        ),
        (
            ("--ssl-grpc-private-key-file", "--ssl-https-private-key-file"),
            "tls_key",
            "its private key",
        ),
    ):
        parser.add_argument(*names, dest=dest, default="", metavar="FILE", help=f"{what}, in PEM")
    parser.add_argument(
        "--ssl-https-verify-peer",
        type=int,
        choices=(0, 1),
        default=1,
        help="0 takes any certificate (default: 1)",
    )
    parser.add_argument(
        "--ssl-https-verify-host",
        type=int,
        choices=(0, 1, 2),
        default=2,
        help="0 takes one for another host (default: 2)",
    )


def _add_load_arguments(group: "argparse._ArgumentGroup") -> None:
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--concurrency-range",
        type=options.concurrency_range,
        metavar="START[:END[:STEP]]",
        help="requests in flight (default: 1); with END 0 as far as --latency-threshold allows",
    )
    which.add_argument(
        "--request-rate-range",
        type=options.rate_range,
        metavar="START[:END[:STEP]]",
        help="requests per second",
    )
    which.add_argument(
        "--request-intervals",
        metavar="FILE",
        help="a request rate of given intervals: microseconds, one number per line, again and "
        "again",
    )
    group.add_argument(
        "--request-distribution",
        choices=("constant", "poisson"),
        default="constant",
        help="the intervals of a request rate (default: constant)",
    )
    group.add_argument(
        "--binary-search",
        action="store_true",
        help="search the largest level of the range within --latency-threshold, as exactly as STEP",
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


def _add_sequence_arguments(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--num-of-sequences",
        type=positive,
        default=4,
        metavar="COUNT",
        help="sequences that a request rate is sent to; a concurrency is their number itself "
        "(default: 4)",
    )
    group.add_argument(
        "--sequence-length",
        type=options.natural,
        default=0,
        metavar="REQUESTS",
        help="requests of a sequence (default: 20, or those of its stream of --input-data)",
    )
    group.add_argument(
        "--sequence-length-variation",
        type=options.percentage,
        default=20.0,
        metavar="PERCENT",
        help="how much longer or shorter a sequence may be (default: 20)",
    )
    group.add_argument(
        "--sequence-id-range",
        "--start-sequence-id",
        type=options.id_range,
        default=(1, 0),
        metavar="START[:END]",
        help="the ids of sequences; END is not used any more (default: 1, without an end)",
    )
    group.add_argument(
        "--serial-sequences",
        action="store_true",
        help="accepted: a sequence never has more than one request in flight",
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
        action="append",
        default=[],
        metavar="zero|random|FILE.json|FOLDER",
        help="what is sent; random is drawn once, several files follow each other (default: "
        "random)",
    )
    group.add_argument(
        "-z",
        action="append_const",
        dest="input_data",
        const="zero",
        help="the same as --input-data zero",
    )
    group.add_argument("--string-data", metavar="TEXT", help="what BYTES elements hold")
    group.add_argument(
        "--string-length",
        type=positive,
        default=128,
        help="the length of random BYTES elements (default: 128)",
    )
    group.add_argument(
        "--request-parameter",
        action="append",
        default=[],
        type=options.request_parameter,
        metavar="NAME:VALUE:TYPE",
        help="a parameter of every request; TYPE is bool, int, float or string",
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
        "--grpc-compression-algorithm",
        type=options.compression,
        default="none",
        metavar="none|gzip|deflate",
        help="how gRPC requests are compressed (default: none)",
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
    _add_window_arguments(group)
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


def _add_window_arguments(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--measurement-mode",
        choices=("time_windows", "count_windows"),
        default="time_windows",
        help="count_windows are as long as it takes to finish --measurement-request-count requests",
    )
    group.add_argument(
        "--measurement-request-count",
        type=positive,
        default=50,
        metavar="COUNT",
        help="(default: 50)",
    )


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
        help="write the measurements; .csv has perf_analyzer's columns",
    )
    group.add_argument(
        "--verbose-csv", action="store_true", help="further columns for .csv, see below"
    )
    group.add_argument(
        "--plot",
        action="append",
        default=[],
        type=options.output_file(".svg", ".png"),
        metavar="FILE.svg|FILE.png",
        help="draw latency over throughput or, with one level, over percentiles; PNG needs Pillow, "
        "which the extra inferd[images] brings",
    )
    group.add_argument("--no-histogram", action="store_true", help="do not draw the latencies")


def _add_accepted_arguments(group: "argparse._ArgumentGroup") -> None:
    for names, why in (
        (("--async", "-a"), "requests are always sent asynchronously"),
        (("--sync",), "each request in flight waits for its answer in either case"),
        (("-v", "--verbose"), "nothing is left out"),
    ):
        group.add_argument(*names, action="store_true", help=why)
    group.add_argument(
        "--max-threads", type=positive, metavar="COUNT", help="--processes says how many there are"
    )
    group.add_argument(
        "--service-kind",
        type=options.service_kind,
        default="triton",
        metavar="triton|kserve",
        help="only servers of this protocol can be loaded",
    )
    group.add_argument(
        "--shared-memory",
        type=options.shared_memory,
        default="none",
        metavar="none",
        help="tensors travel over the connection",
    )
