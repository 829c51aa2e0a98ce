"""Tests of the spelling of addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.listening.address import LONGEST_PATH, label, unix_path


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("0.0.0.0", None),
        ("::1", None),
        ("", None),
        ("unix.example.org", None),
        ("unix:///run/a.sock", "/run/a.sock"),
        ("unix:/run/a.sock", "/run/a.sock"),
        ("unix:a.sock", "a.sock"),
    ],
)
def test_a_unix_socket_is_spelled_as_grpc_does(address, path):
    """Whatever does not begin with unix: is a host."""
    assert unix_path(address) == path


@pytest.mark.parametrize("address", ["unix:", "unix://", "unix://host/a", "unix:/a\0b"])
def test_what_cannot_be_a_path_is_refused(address):
    """An address without a path, or with a host, is a mistake."""
    with pytest.raises(ValueError, match="unix:///PATH"):
        unix_path(address)


@pytest.mark.parametrize("letter", ["a", "ü"])
def test_the_longest_path_is_what_the_system_takes(letter):
    """107 bytes are taken, one more is refused with both numbers."""
    longest = "/" + letter * ((LONGEST_PATH - 1) // len(letter.encode()))
    assert len(longest.encode()) == LONGEST_PATH
    assert unix_path(f"unix://{longest}") == longest
    with pytest.raises(ValueError, match="may have 107 bytes, it has 108"):
        unix_path(f"unix://{longest}x")


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=90))
def test_every_absolute_path_comes_back(name):
    """Nothing in a path is taken for something else."""
    assert unix_path(f"unix:///{name}") == f"/{name}"


def test_labels():
    """A place is called by what an operator wrote."""
    assert label("127.0.0.1", 80) == "127.0.0.1:80"
    assert label("unix:///a", 0) == "unix:///a"
