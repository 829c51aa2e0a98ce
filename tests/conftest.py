"""Settings and fixtures for every test."""

import os

import hypothesis
import pytest
from authority import Authority, Pair

hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=100)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=100)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=10_000)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "fast")


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    """A root that the servers' and the clients' certificates of the tests lead to."""
    return Authority(tmp_path_factory.mktemp("certificates"), "root")


@pytest.fixture(scope="session")
def server_pair(authority) -> Pair:
    """Certificate and key of a server on localhost."""
    return authority.issue("server")


@pytest.fixture(scope="session")
def client_pair(authority) -> Pair:
    """Certificate and key of a client."""
    return authority.issue("client")
