"""Tests of the network's layers."""

import numpy as np
import pytest

from inferd.samples.efficientnet import (
    AddRemembered,
    Classifier,
    Convolution,
    Remember,
    layers,
)


def test_layers(random_weights):
    """The network is a stem, 16 blocks with 9 shortcuts, a head and a classifier."""
    found = list(layers(random_weights))
    convolutions = [layer for layer in found if isinstance(layer, Convolution)]
    assert len(convolutions) == 1 + (2 + 15 * 3) + 1
    assert sum(isinstance(layer, Remember) for layer in found) == 9
    assert sum(isinstance(layer, AddRemembered) for layer in found) == 9
    assert isinstance(found[-1], Classifier)
    assert np.prod([layer.stride for layer in convolutions]) == 32


def test_batch_normalisation_is_folded_in(random_weights):
    """A folded convolution equals the convolution followed by its batch normalisation."""
    stem = next(iter(layers(random_weights)))
    assert isinstance(stem, Convolution)
    patch = np.random.default_rng(1).normal(size=stem.weights.shape[1:])
    raw = (random_weights["_conv_stem.weight"] * patch).sum((1, 2, 3))
    deviation = np.sqrt(random_weights["_bn0.running_var"] + 1e-3)
    normal = (raw - random_weights["_bn0.running_mean"]) / deviation
    expected = normal * random_weights["_bn0.weight"] + random_weights["_bn0.bias"]
    folded = (stem.weights * patch).sum((1, 2, 3)) + stem.bias
    np.testing.assert_allclose(folded, expected, rtol=1e-4, atol=1e-4)


def test_missing_weights(random_weights):
    """A weight that is not there is named."""
    del random_weights["_conv_head.weight"]
    with pytest.raises(KeyError, match=r"_conv_head\.weight"):
        list(layers(random_weights))
