"""grpcio's own channels against each gRPC transport of a real server."""

from pathlib import Path

from client_process import run_client

CLIENT = Path(__file__).parent / "clients" / "plain_grpc.py"
FLOWS = ["unary", "compressed", "errors", "pinging", "asynchronous"]


def test_grpcio_alone(grpc_server):
    """Compression, metadata, pings, streams and asyncio work without tritonclient in between."""
    assert run_client(CLIENT, grpc_server.grpc).split() == FLOWS
