"""Which paths the protocol knows."""

import pytest

from inferd.frontends.http.routes import METHODS, Route, resolve


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2", Route("server_metadata")),
        ("/v2?verbose=1", Route("server_metadata")),
        ("/v2/health/live", Route("live")),
        ("/v2/health/ready", Route("ready")),
        ("/v2/models/stats", Route("statistics")),
        ("/v2/models/m", Route("model_metadata", "m")),
        ("/v2/models/m/versions/12", Route("model_metadata", "m", "12")),
        ("/v2/models/m/infer", Route("infer", "m")),
        ("/v2/models/m/versions/1/infer?x", Route("infer", "m", "1")),
        ("/v2/models/m/ready", Route("model_ready", "m")),
        ("/v2/models/m/config", Route("model_config", "m")),
        ("/v2/models/m/versions/1/stats", Route("statistics", "m", "1")),
        ("/v2/models/m/scheduler", Route("scheduler", "m")),
        ("/v2/models/m/versions/3/scheduler", Route("scheduler", "m", "3")),
        ("/v2/models/scheduler", Route("model_metadata", "scheduler")),
        ("/v2/models/%6D", Route("model_metadata", "%6D")),
        ("/v2/models/stats/stats", Route("statistics", "stats")),
        ("/v2/repository/index", Route("index")),
        ("/v2/repository/r/index", Route("index", repository="r")),
        ("/v2/repository/models/m/load", Route("load", "m")),
        ("/v2/repository/r/models/m/unload", Route("unload", "m", repository="r")),
        ("/v2/repository/models/index/load", Route("load", "index")),
    ],
)
def test_a_known_path_names_its_endpoint(path, route):
    """Every path of the protocol reaches its endpoint with the names in it, undecoded."""
    assert resolve(path) == route
    assert route.endpoint in METHODS


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/",
        "/v1",
        "/v2/health",
        "/v2/health/live/",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/m/",
        "/v2/models/m/versions",
        "/v2/models/m/versions/",
        "/v2/models/m/versions/one",
        "/v2/models/m/versions/-1",
        "/v2/models/m/versions/\u0661",
        "/v2/models/m/versions/1/",
        "/v2/models/m/generate",
        "/v2/models/m/scheduler/",
        "/v2/models/m/scheduler/now",
        "/v2/models/m/infer/more",
        "/v2/models/m/trace/setting",
        "/v2/repository",
        "/v2/repository/",
        "/v2/repository//index",
        "/v2/repository/a/b/index",
        "/v2/repository/models/m",
        "/v2/repository/models/m/reload",
        "/v2/repository/models//load",
        "/v2/repository/a/b/models/m/load",
        "/v2/logging",
        "/v2/systemsharedmemory/status",
    ],
)
def test_any_other_path_is_unknown(path):
    """Trailing slashes, empty names, bad versions and absent extensions name nothing."""
    assert resolve(path) is None
