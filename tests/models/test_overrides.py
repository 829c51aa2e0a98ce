"""Model folders made of files from a load request."""

import pytest

from inferd.errors import InvalidRequest
from inferd.models.overrides import Override


def test_files_are_written_under_the_models_name():
    """Sub-folders are made as needed."""
    override = Override.write("m", {"1/model.onnx": b"abc", "labels.txt": b"x"})

    assert override.directory.name == "m"
    assert (override.directory / "1" / "model.onnx").read_bytes() == b"abc"
    override.remove()
    assert not override.directory.exists()


@pytest.mark.parametrize(
    ("path", "normalized"),
    [
        ("../x", "../x"),
        ("1/../../x", "../x"),
        ("../../x", "../../x"),
        ("/etc/x", "//etc/x"),
        ("", ""),
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(path, normalized):
    """Nothing is written anywhere."""
    with pytest.raises(InvalidRequest) as caught:
        Override.write("m", {path: b""})

    assert caught.value.message == (
        f"Invalid file parameter 'file:{path}' with normalized path '{normalized}' must stay "
        "within model directory."
    )


def test_a_path_may_turn_around_inside_the_folder():
    """Only where it ends up matters."""
    override = Override.write("m", {"1/../1/a": b""})
    override.remove()
