"""
Infer through tritonclient over TLS or a Unix socket, and print what came of it.

Arguments: ``http``, ``grpc``, ``http-aio`` or ``grpc-aio``, the address, and then, for TLS, the
file of the root, and for mutual TLS those of the client's certificate and key.
"""

import asyncio
import ssl
import sys

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient


def http(address, root="", certificate="", key=""):
    """Return the module and a client."""
    files = {"ca_certs": root, "certfile": certificate, "keyfile": key}
    options = {name: value for name, value in files.items() if value}
    return httpclient, httpclient.InferenceServerClient(
        address, ssl=True, ssl_options=options, connection_timeout=20, network_timeout=20
    )


def grpc(address, root="", certificate="", key=""):
    """Return the module and a client."""
    return grpcclient, grpcclient.InferenceServerClient(
        address,
        ssl=bool(root),
        root_certificates=root or None,
        certificate_chain=certificate or None,
        private_key=key or None,
    )


def http_aio(address, root, certificate="", key=""):
    """Return the module and a client of asyncio's."""
    import tritonclient.http.aio as httpaio  # only where it is needed: it takes long

    context = ssl.create_default_context(cafile=root)
    if certificate:
        context.load_cert_chain(certificate, key)
    return httpclient, httpaio.InferenceServerClient(address, ssl=True, ssl_context=context)


def grpc_aio(address, root, certificate="", key=""):
    """Return the module and a client of asyncio's."""
    import tritonclient.grpc.aio as grpcaio

    return grpcclient, grpcaio.InferenceServerClient(
        address,
        ssl=True,
        root_certificates=root,
        certificate_chain=certificate or None,
        private_key=key or None,
    )


def request(module):
    """Return the inputs."""
    given = module.InferInput("INPUT0", [1, 2], "FP32")
    given.set_data_from_numpy(np.array([[3, 4]], np.float32))
    return [given]


async def ask_asynchronously(protocol, *rest):
    """Return the answer an asyncio client gets."""
    module, client = {"http-aio": http_aio, "grpc-aio": grpc_aio}[protocol](*rest)
    async with client:
        return await client.infer("echo", request(module))


def ask(protocol, *rest):
    """Return the answer a client gets."""
    module, client = {"http": http, "grpc": grpc}[protocol](*rest)
    try:
        return client.infer("echo", request(module))
    finally:
        client.close()


def main():
    """Infer, and print the answer or why there is none."""
    protocol, *rest = sys.argv[1:]
    try:
        if protocol.endswith("-aio"):
            answer = asyncio.run(ask_asynchronously(protocol, *rest))
        else:
            answer = ask(protocol, *rest)
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print(answer.as_numpy("OUTPUT0").tolist())


if __name__ == "__main__":
    main()
