"""The parameters of the repository RPCs."""

import pytest

from inferd._generated.inference import ModelRepositoryParameter as Parameter
from inferd.errors import InvalidRequest, UnsupportedFeature
from inferd.frontends.grpc.repository import check_repository, load_parameters, unload_dependents


def test_config_and_files_are_told_apart():
    """Files are keyed by their path in the model's folder; an empty config is a config."""
    parameters = {
        "config": Parameter(string_param=""),
        "file:1/model.onnx": Parameter(bytes_param=b"x"),
        "file:2/a": Parameter(bytes_param=b""),
    }
    assert load_parameters(parameters) == ("", {"1/model.onnx": b"x", "2/a": b""})
    assert load_parameters({}) == (None, {})


@pytest.mark.parametrize(
    ("key", "parameter", "text"),
    [
        (
            "config",
            Parameter(bytes_param=b"{}"),
            "invalid value type for load parameter 'config', expected string_param.",
        ),
        (
            "file:1/m",
            Parameter(string_param="x"),
            "invalid value type for load parameter 'file:1/m', expected bytes_param.",
        ),
        ("speed", Parameter(int64_param=1), "unrecognized load parameter 'speed'."),
    ],
)
def test_load_parameters_are_checked(key, parameter, text):
    """Unknown parameters and wrong types are refused with Triton's texts."""
    with pytest.raises(InvalidRequest) as caught:
        load_parameters({key: parameter})
    assert caught.value.message == text


def test_dependents_are_unloaded_on_request():
    """The flag is false unless it is given."""
    assert unload_dependents({}) is False
    assert unload_dependents({"unload_dependents": Parameter(bool_param=False)}) is False
    assert unload_dependents({"unload_dependents": Parameter(bool_param=True)}) is True
    with pytest.raises(InvalidRequest) as caught:
        unload_dependents({"unload_dependents": Parameter(int64_param=1)})
    assert caught.value.message == (
        "invalid value type for unload parameter 'unload_dependents', expected bool_param."
    )


def test_repositories_have_no_names():
    """Only the empty repository name is allowed."""
    check_repository("")
    with pytest.raises(UnsupportedFeature):
        check_repository("x")
