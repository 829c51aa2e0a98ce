"""Model control over HTTP."""

import pytest

from inferd.errors import LoadFailed


@pytest.mark.parametrize(
    ("body", "ready"), [(b"", False), (b"{}", False), (b'{"ready":true}', True)]
)
async def test_the_index_lists_models(http, dataplane, body, ready):
    """The index can be asked for ready models only."""
    async with http.post("/v2/repository/index", data=body) as response:
        assert await response.read() == (
            b'[{"name":"echo","version":"1","state":"READY"},{"name":"unloaded"}]'
        )
    assert dataplane.calls == [("index", ready)]


async def test_a_ready_that_is_no_boolean_is_refused(http):
    """Even one nested a quarter of a million levels deep."""
    for value in (b'"yes"', b"[" * 250_000 + b"]" * 250_000):
        async with http.post("/v2/repository/index", data=b'{"ready":%s}' % value) as response:
            assert response.status == 400
            assert await response.read() == (
                b'{"error":"Invalid value for \'ready\': expected a boolean"}'
            )


async def test_a_repository_name_is_not_supported(http):
    """Naming a repository is answered as unsupported, not ignored."""
    for path in ("r/index", "r/models/m/load", "r/models/m/unload"):
        async with http.post(f"/v2/repository/{path}") as response:
            assert response.status == 501
            assert await response.read() == (
                b'{"error":"\'repository_name\' specification is not supported"}'
            )


async def test_load_passes_config_and_files_on(http, dataplane):
    """Files arrive decoded, keyed by their path in the model directory."""
    body = {"parameters": {"config": "{}", "file:./1/model.onnx": "AQI="}}
    async with http.post("/v2/repository/models/m/load", json=body) as response:
        assert (response.status, await response.read()) == (200, b"")
    async with http.post("/v2/repository/models/m/load") as response:
        assert response.status == 200
    assert dataplane.calls == [
        ("load", "m", "{}", {"1/model.onnx": b"\x01\x02"}),
        ("load", "m", None, {}),
    ]


@pytest.mark.parametrize(
    ("parameters", "status", "message"),
    [
        (
            b'{"file:../x":""}',
            400,
            "Invalid file parameter 'file:../x' with normalized path '../x' must stay within "
            "model directory.",
        ),
        (
            b'{"file:1/../../x":""}',
            400,
            "Invalid file parameter 'file:1/../../x' with normalized path '../x' must stay within "
            "model directory.",
        ),
        (
            b'{"file:/etc/x":""}',
            400,
            "Invalid file parameter 'file:/etc/x' with normalized path '/etc/x' must stay within "
            "model directory.",
        ),
        (
            b'{"file:":""}',
            400,
            "Invalid file parameter 'file:' with normalized path '.' must stay within model "
            "directory.",
        ),
        (b'{"file:x":"!"}', 400, "Unable to decode the base64 value of 'file:x'"),
        (b'{"other":"x"}', 500, "unexpected error on creating Triton parameter"),
        (b'{"config":1}', 500, "attempt to access JSON non-string as string"),
        (b"[]", 500, "attempt to get members for non-object"),
    ],
)
async def test_bad_load_parameters(http, dataplane, parameters, status, message):
    """A load request that is wrong touches nothing and says what is wrong."""
    async with http.post(
        "/v2/repository/models/m/load", data=b'{"parameters":%s}' % parameters
    ) as response:
        assert response.status == status
        assert await response.json() == {"error": message}
    assert dataplane.calls == []


async def test_a_failed_load_tells_the_reason(http, dataplane):
    """The client sees why its model did not load."""
    dataplane.failure = LoadFailed("load failed for model 'm': why;\n")
    async with http.post("/v2/repository/models/m/load") as response:
        assert response.status == 400
        assert await response.json() == {"error": "load failed for model 'm': why;\n"}


@pytest.mark.parametrize(
    ("body", "dependents"),
    [(b"", False), (b"{}", False), (b'{"parameters":{"unload_dependents":true}}', True)],
)
async def test_unload_passes_the_dependents_on(http, dataplane, body, dependents):
    """Unloading is answered empty; dependents go only when asked for."""
    async with http.post("/v2/repository/models/m/unload", data=body) as response:
        assert (response.status, await response.read()) == (200, b"")
    assert dataplane.calls == [("unload", "m", dependents)]


async def test_a_dependents_flag_that_is_no_boolean_is_refused(http):
    """The wrong JSON type is Triton's internal error."""
    body = b'{"parameters":{"unload_dependents":1}}'
    async with http.post("/v2/repository/models/m/unload", data=body) as response:
        assert response.status == 500
        assert await response.json() == {
            "error": "Unable to parse 'unload_dependents': "
            "attempt to access JSON non-boolean as boolean"
        }
