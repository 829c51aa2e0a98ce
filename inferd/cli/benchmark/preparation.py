"""Asks a server about a model and makes the requests to load it with."""

import argparse
import itertools
from dataclasses import replace

from inferd._generated.inference import ModelConfig
from inferd.cli.benchmark import contents
from inferd.cli.benchmark.contents import Inputs
from inferd.cli.benchmark.plan import Plan, SequencePlan
from inferd.cli.benchmark.requests import (
    FINAL_RESPONSE,
    HttpForm,
    grpc_message,
    grpc_template,
    http_request,
    http_template,
)
from inferd.cli.benchmark.target import Target
from inferd.cli.benchmark.templates import Template
from inferd.cli.clients.client import Client, ClientError, UsageError
from inferd.cli.clients.connection import parse_address, parse_socket
from inferd.cli.clients.tls import ClientTls
from inferd.protocol.messages import InferRequest

_SERVICE = "/inference.GRPCInferenceService/"
_HTTP_CONNECTIONS_OF_A_RATE = 128
_SEQUENCE_LENGTH = 20


async def prepare(
    client: Client, args: argparse.Namespace, url: str | None, tls: ClientTls | None = None
) -> Target:
    """
    Return the server at an address with everything that is sent to it.

    Args:
        client: Asks it.
        args: The options.
        url: Its address.
        tls: How to encrypt, where the address says so.

    Raises:
        ClientError: It cannot be reached or does not know the model.
        UsageError: The options do not fit the model.
    """
    plan, base = _place(args, url, tls or ClientTls())
    metadata = await client.model_metadata(args.model_name, args.model_version)
    try:
        config = await client.model_config(args.model_name, args.model_version)
    except ClientError:
        config = None
    plan = replace(plan, decoupled=_is_decoupled(config, args))
    maker = _Maker(args, plan, base)
    found = contents.streams(args, metadata, config)
    if _takes_sequences(config):
        streams = tuple(tuple(map(maker.template, stream)) for stream in found)
        plan = replace(plan, sequences=_sequences(args, streams))
    else:
        plan = replace(plan, requests=tuple(map(maker.request, itertools.chain(*found))))
    return Target(plan.address, client, plan, args.model_name, args.model_version, args.batch_size)


def _place(args: argparse.Namespace, url: str | None, tls: ClientTls) -> tuple[Plan, str]:
    """Return the plan without its requests, and the base of HTTP's path."""
    socket_path = parse_socket(url or "") or ""
    scheme, host, port, base = ("", "", 0, "")
    if not socket_path:
        scheme, host, port, base = parse_address(args.protocol, url or "localhost")
    grpc = args.protocol == "grpc"
    compression = args.grpc_compression_algorithm
    encoding = (("grpc-encoding", compression),) if compression else ()
    plan = Plan(
        protocol=args.protocol,
        host=host,
        port=port,
        tls=tls if scheme in ("https", "grpcs") else None,
        socket_path=socket_path,
        requests=(),
        path=_SERVICE + ("ModelStreamInfer" if args.streaming else "ModelInfer"),
        headers=(*encoding, *args.header),
        streaming=args.streaming,
        connections=args.connections or (1 if grpc else _HTTP_CONNECTIONS_OF_A_RATE),
    )
    return plan, base.rstrip("/")


class _Maker:
    """Makes the bytes of requests of their inputs."""

    def __init__(self, args: argparse.Namespace, plan: Plan, base: str) -> None:
        self._args = args
        self._plan = plan
        self._form = HttpForm(
            plan.authority,
            base,
            plan.headers,
            json_inputs=args.input_format == "json",
            json_outputs=args.output_format == "json",
        )

    def request(self, inputs: Inputs) -> bytes:
        """Return a whole request."""
        request = self._request(inputs)
        if self._plan.protocol == "grpc":
            return grpc_message(request, self._args.grpc_compression_algorithm)
        return http_request(self._form, request)

    def template(self, inputs: Inputs) -> Template:
        """Return a request without its place in a sequence."""
        request = self._request(inputs)
        if self._plan.protocol == "grpc":
            return grpc_template(request, self._args.grpc_compression_algorithm)
        return http_template(self._form, request)

    def _request(self, inputs: Inputs) -> InferRequest:
        parameters = dict(self._args.request_parameter)
        if self._plan.decoupled:
            parameters[FINAL_RESPONSE] = True
        return InferRequest(
            self._args.model_name,
            inputs,
            model_version=self._args.model_version,
            parameters=parameters,
        )


def _takes_sequences(config: ModelConfig | None) -> bool:
    if config is None or config.sequence_batching is None:
        return False
    return not config.sequence_batching.iterative_sequence


def _sequences(args: argparse.Namespace, streams: tuple[tuple[Template, ...], ...]) -> SequencePlan:
    first, end = args.sequence_id_range
    own_data = args.input_data[0] not in ("zero", "random")
    return SequencePlan(
        streams,
        length=args.sequence_length or (0 if own_data else _SEQUENCE_LENGTH),
        variation=args.sequence_length_variation,
        live=args.num_of_sequences,
        first_id=first,
        end_id=end,
    )


def _is_decoupled(config: ModelConfig | None, args: argparse.Namespace) -> bool:
    """
    Whether responses are counted up to the one marked final.

    Raises:
        UsageError: The model cannot be loaded as the options say.
    """
    policy = None if config is None else config.model_transaction_policy
    decoupled = policy is not None and policy.decoupled
    if decoupled and not args.streaming:
        raise UsageError(f"model '{args.model_name}' is decoupled: use -i grpc --streaming")
    return decoupled
