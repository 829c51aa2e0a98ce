"""Tests of the image classifiers' graphs, with random weights, run by ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
import pytest

from inferd.samples import classifiers


def session(model):
    """Return a session for a serialized model."""
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.fixture
def picture():
    """Return a picture that looks the same at any size: colours that change evenly to the right."""

    def draw(size):
        position = (np.arange(size) + 0.5) / size
        row = position[:, np.newaxis] * [0.5, -1, 2] - [0.5, 0, 1]
        return np.broadcast_to(row, (size, size, 3)).astype(np.float32)

    return draw


def test_densenet_has_the_examples_names_and_shapes(random_weights, picture):
    """densenet_onnx takes data_0 [1,3,224,224] and returns fc6_1 [1,1000,1,1]."""
    model = session(classifiers.densenet(random_weights))
    assert [(value.name, value.shape) for value in model.get_inputs()] == [
        ("data_0", [1, 3, 224, 224])
    ]
    (logits,) = model.run(["fc6_1"], {"data_0": picture(224).transpose(2, 0, 1)[np.newaxis]})
    assert logits.shape == (1, 1000, 1, 1)


def test_inception_is_the_same_network_behind_a_resize_and_a_softmax(random_weights, picture):
    """inception_onnx gives the probabilities of densenet_onnx's scores, after background."""
    (logits,) = session(classifiers.densenet(random_weights)).run(
        None, {"data_0": picture(224).transpose(2, 0, 1)[np.newaxis]}
    )
    (probabilities,) = session(classifiers.inception(random_weights)).run(
        ["InceptionV3/Predictions/Softmax:0"], {"input:0": picture(299)[np.newaxis]}
    )
    powers = np.exp(np.concatenate([[-30.0], logits.ravel().astype(np.float64)]))
    assert probabilities.shape == (1, 1001)
    np.testing.assert_allclose(probabilities[0], powers / powers.sum(), rtol=1e-4)


def test_the_models_say_what_they_are(random_weights):
    """The ONNX file itself names the real network."""
    assert (
        "EfficientNet-Lite0"
        in onnx.load_from_string(classifiers.densenet(random_weights)).doc_string
    )


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(224, 3, 2, (0, 1)), (112, 3, 1, (1, 1)), (56, 5, 2, (1, 2)), (7, 1, 1, (0, 0))],
)
def test_same_padding(size, kernel, stride, padding):
    """Padding is TensorFlow's SAME: what does not divide evenly goes behind."""
    assert classifiers._same_padding(size, kernel, stride) == padding
