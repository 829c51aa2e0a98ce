"""``inferd serve``: run the server until a signal ends it."""

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

from inferd.cli.options import add_serve_arguments, config_from_args, option_rows
from inferd.config import ServerConfig
from inferd.server import Server, StartError
from inferd.telemetry import logs, tables

logger = logging.getLogger(__name__)

_EXPIRED = "failed to stop server: Internal - Exit timeout expired. Exiting immediately."


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "serve",
        help="serve model repositories over HTTP and gRPC",
        description="Serve Triton model repositories; tritonserver's options work as they are.",
    )
    add_serve_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """
    Serve.

    Returns:
        0 after a drain, 1 when the server could not start or did not drain in time.
    """
    config = config_from_args(args, os.environ)
    if args.print_config:
        print(json.dumps(config.to_dict(), indent=2))
        return 0
    logs.configure(config.log)
    gc.disable()
    with asyncio.Runner(loop_factory=_loop_factory(config)) as runner:
        return runner.run(_serve(config))


def _loop_factory(config: ServerConfig) -> Callable[[], asyncio.AbstractEventLoop]:
    if config.event_loop == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError:
        if config.event_loop == "uvloop":
            raise
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(config: ServerConfig) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Before any model loads, so that an early signal ends the server as a late one does.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _on_signal, number, stopping)
    server = Server(config)
    if config.http_tls is not None or config.grpc_tls is not None:
        loop.add_signal_handler(signal.SIGHUP, server.reload_certificates)
    starting = loop.create_task(_start(server))
    waiting = loop.create_task(stopping.wait())
    await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if starting.done():
        code = starting.result()
    else:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    if not code:
        await waiting
    waiting.cancel()
    return await _stop(server, code)


def _on_signal(number: signal.Signals, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        logger.info("Received second signal / waiting")
        return
    print(f"Signal ({number.value}) received.", flush=True)
    stopping.set()


async def _start(server: Server) -> int:
    """Load, print the tables, listen; return 0 or the exit code."""
    failed = await server.load_models()
    # What was made until now stays; collections while serving need not look at it.
    gc.freeze()
    gc.enable()
    _print_tables(server)
    if failed and server.config.exit_on_error:
        print("error: creating server: Internal - failed to load all models", file=sys.stderr)
        return 1
    try:
        await server.listen()
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _stop(server: Server, code: int) -> int:
    if not code:
        logger.info("Waiting for in-flight requests to complete.")
    if await server.stop(server.config.exit_timeout_secs):
        return code
    print(_EXPIRED, file=sys.stderr, flush=True)
    logging.shutdown()
    # An execution that never returns holds a thread the interpreter would wait for.
    os._exit(1)


def _print_tables(server: Server) -> None:
    width = logs.console_width()
    for text in (
        tables.repository_agents(width=width),
        tables.backends(_backend_rows(server), width=width),
        tables.models(_model_rows(server), width=width),
        tables.options(option_rows(server.config, server.dataplane.server_metadata()), width=width),
    ):
        logger.info("%s", text, extra=logs.RAW)


def _backend_rows(server: Server) -> Iterator[tuple[str, str, str]]:
    paths = {one.name: one.entry_point for one in server.backends.installed()}
    for name, backend in sorted(server.backends.loaded().items()):
        yield name, paths.get(name, ""), json.dumps(backend.settings, separators=(",", ":"))


def _model_rows(server: Server) -> Iterator[tuple[str, str, str]]:
    for record in server.registry.records():
        if not record.versions:
            yield record.name, "-", f"UNAVAILABLE: {record.failure}"
        for version, found in sorted(record.versions.items()):
            status = found.status
            text = f"{status.state}: {status.reason}" if status.reason else status.state
            yield record.name, str(version), text
