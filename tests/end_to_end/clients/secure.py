"""
Infer through tritonclient over TLS or a Unix socket, and print what came of it.

Arguments: ``http`` or ``grpc``, the address, and then, for TLS, the file of the root, and for
mutual TLS those of the client's certificate and key.
"""

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


def main():
    """Infer, and print the answer or why there is none."""
    protocol, *rest = sys.argv[1:]
    module, client = {"http": http, "grpc": grpc}[protocol](*rest)
    given = module.InferInput("INPUT0", [1, 2], "FP32")
    given.set_data_from_numpy(np.array([[3, 4]], np.float32))
    try:
        answer = client.infer("echo", [given])
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print(answer.as_numpy("OUTPUT0").tolist())
    client.close()


if __name__ == "__main__":
    main()
