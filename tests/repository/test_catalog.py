"""Which models there are, and where."""

import pytest

from inferd.errors import PollFailed
from inferd.repository.catalog import Catalog


@pytest.fixture(name="catalog")
def _catalog(tmp_path):
    """Two repositories that share one model name."""
    for path in ("one/a/1", "one/both", "two/b", "two/both", "two/.git"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "one" / "README.md").touch()
    return Catalog([tmp_path / "one", tmp_path / "two"])


def test_every_folder_is_a_model(catalog):
    """Files and hidden folders are not."""
    assert catalog.names() == ["a", "b", "both"]
    assert sorted(catalog.snapshot()) == ["a", "b", "both"]


def test_a_model_is_found_in_its_repository(catalog, tmp_path):
    """Whichever it is."""
    assert catalog.locate("b") == tmp_path / "two" / "b"


def test_a_model_that_is_nowhere(catalog):
    """The text is the reference's."""
    with pytest.raises(PollFailed, match="failed to load 'x', failed to poll from") as caught:
        catalog.locate("x")

    assert caught.value.reason == "model not found in any model repository."


def test_a_model_in_two_repositories_is_served_from_neither(catalog):
    """It would be unclear which."""
    with pytest.raises(PollFailed) as caught:
        catalog.locate("both")

    assert caught.value.reason == "not unique across all model repositories"
    assert [catalog.is_ambiguous(name) for name in ("both", "a", "x")] == [True, False, False]
