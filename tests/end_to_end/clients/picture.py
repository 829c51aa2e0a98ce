"""
Have a picture classified by an ensemble, and by its models one after the other.

Arguments: the HTTP address, the gRPC address, the picture. Prints the three best classes of
the picture and of its mirror image, as JSON.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from PIL import Image


def ask(library, client, model, name, pixels, output, classes):
    """Return one output of a model."""
    tensor = library.InferInput(name, pixels.shape, "UINT8" if pixels.dtype == "u1" else "FP32")
    tensor.set_data_from_numpy(pixels)
    wanted = library.InferRequestedOutput(output, class_count=classes)
    return client.infer(model, [tensor], outputs=[wanted]).as_numpy(output)


def read(path):
    """Return the picture and its mirror image, ``[2, height, width, 3]``."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return np.stack([pixels, pixels[:, ::-1]])


def main():
    """Ask over both protocols."""
    http, grpc, path = sys.argv[1:]
    pixels, seen = read(path), {}
    for name, library, address in (("http", httpclient, http), ("grpc", grpcclient, grpc)):
        client = library.InferenceServerClient(address)
        whole = ask(library, client, "classify", "PIXELS", pixels, "SCORES", 3)
        scaled = ask(library, client, "preprocess", "RAW", pixels, "SCALED", 0)
        parts = ask(library, client, "classifier", "data_0", scaled, "fc6_1", 3)
        seen[name] = {
            kind: [[one.decode() for one in row] for row in found]
            for kind, found in (("ensemble", whole), ("models", parts))
        }
        client.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
