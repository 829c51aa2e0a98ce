"""The image client's flow: metadata and config, preprocessing, classification, labels."""

import queue

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from flows import flow, main
from PIL import Image

MODELS = ("densenet_onnx", "inception_onnx")


def layout(metadata, config):
    """Return the input's name, height, width and order from plain dictionaries."""
    (given,) = metadata["inputs"]
    (output,) = metadata["outputs"]
    assert given["datatype"] == output["datatype"] == "FP32"
    assert config["max_batch_size"] == 0
    order = config["input"][0]["format"]
    first = order == "FORMAT_NCHW"
    assert first or order == "FORMAT_NHWC", order
    shape = [int(n) for n in given["shape"]]
    height, width = shape[1:] if first else shape[:2]
    return given["name"], output["name"], height, width, first


def picture(server, height, width, first):
    """Return the sample picture as the client prepares it with INCEPTION scaling."""
    with Image.open(server.repository / "mug.jpg") as image:
        small = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(small, np.float32) / 127.5 - 1
    return np.ascontiguousarray(values.transpose(2, 0, 1)) if first else values


def ask(client, module, server, model, **options):
    """Return the model's best three classes as ``(score, index, label)`` texts."""
    as_dict = {"as_json": True} if module is grpcclient else {}
    config = client.get_model_config(model, **as_dict)
    metadata = client.get_model_metadata(model, **as_dict)
    if module is grpcclient:
        config = {"max_batch_size": 0, **config["config"]}
    name, output, height, width, first = layout(metadata, config)
    values = picture(server, height, width, first)
    given = module.InferInput(name, list(values.shape), "FP32")
    given.set_data_from_numpy(values)
    wanted = [module.InferRequestedOutput(output, class_count=3)]
    result = client.infer(model, [given], outputs=wanted, **options)
    return [text(row).split(":") for row in result.as_numpy(output).flat], (given, wanted, output)


def text(value):
    """Return a string element as text."""
    return value if isinstance(value, str) else value.decode()


def check(classes):
    """Fail unless the sample picture was recognised."""
    assert classes[0][2] == "COFFEE MUG", classes
    assert len(classes) == 3
    scores = [float(c[0]) for c in classes]
    assert scores == sorted(scores, reverse=True)


@flow
def pictures_are_classified_over_http(server):
    """Both classifiers know a coffee mug, with labels."""
    with httpclient.InferenceServerClient(server.http, concurrency=2) as client:
        for model in MODELS:
            classes, (given, wanted, output) = ask(client, httpclient, server, model)
            check(classes)
            again = client.async_infer(model, [given], outputs=wanted).get_result()
            assert [text(row).split(":") for row in again.as_numpy(output).flat] == classes


@flow
def pictures_are_classified_over_grpc(server):
    """The same over gRPC, unary and on a stream."""
    answers = queue.SimpleQueue()
    with grpcclient.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for model in MODELS:
            classes, (given, wanted, output) = ask(client, grpcclient, server, model)
            check(classes)
            client.async_stream_infer(model, [given], outputs=wanted)
            result, error = answers.get(timeout=20)
            assert error is None, error
            assert [text(row).split(":") for row in result.as_numpy(output).flat] == classes
        client.stop_stream()


@flow
def both_protocols_give_the_same_scores(server):
    """The scores do not depend on the protocol."""
    with (
        httpclient.InferenceServerClient(server.http) as http,
        grpcclient.InferenceServerClient(server.grpc) as grpc,
    ):
        for model in MODELS:
            first, _ = ask(http, httpclient, server, model)
            second, _ = ask(grpc, grpcclient, server, model)
            assert first == second


if __name__ == "__main__":
    main()
