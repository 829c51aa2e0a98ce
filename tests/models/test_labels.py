"""Tests of reading label files."""

from pathlib import Path

import pytest

from inferd.errors import LoadFailed
from inferd.models.labels import read_labels


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"", []),
        (b"cat\ndog\n", ["cat", "dog"]),
        (b"cat\ndog", ["cat", "dog"]),
        (b"cat\r\ndog\r\n", ["cat", "dog"]),
        (b"cat\n\ndog\n", ["cat", "", "dog"]),
        (b"\n", [""]),
        ("\ufeffcafé\x0bx\u2028y\n".encode(), ["café\x0bx\u2028y"]),
    ],
)
def test_each_line_is_a_label(tmp_path: Path, content: bytes, labels: list[str]) -> None:
    """Line n of the file is the label of class n, however the file ends its lines."""
    (tmp_path / "labels.txt").write_bytes(content)
    assert read_labels(tmp_path, "labels.txt") == labels


def test_labels_may_lie_in_a_sub_folder(tmp_path: Path) -> None:
    """The file name is relative to the model's folder and may have folders in it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels.txt").write_text("cat\n")
    assert read_labels(tmp_path, "data/labels.txt") == ["cat"]


@pytest.mark.parametrize("name", ["../labels.txt", "data/../../labels.txt", "/etc/passwd"])
def test_labels_must_stay_in_the_model_folder(tmp_path: Path, name: str) -> None:
    """A label file outside the model's folder is refused and named."""
    with pytest.raises(LoadFailed) as caught:
        read_labels(tmp_path, name)
    assert caught.value.message == f"label file '{name}' must stay within the model directory"


@pytest.mark.parametrize(
    ("name", "reason"), [("labels.txt", "No such file or directory"), (".", "Is a directory")]
)
def test_a_label_file_that_cannot_be_opened_is_named(
    tmp_path: Path, name: str, reason: str
) -> None:
    """The operator reads which file could not be opened, and why."""
    with pytest.raises(LoadFailed) as caught:
        read_labels(tmp_path, name)
    path = tmp_path / name
    assert caught.value.message == f"failed to open text file for read {path}: {reason}"


def test_a_name_no_file_can_have_is_named(tmp_path: Path) -> None:
    """A label file name with a NUL byte fails the model's load, not the server."""
    with pytest.raises(LoadFailed, match=r"failed to read label file .*null"):
        read_labels(tmp_path, "a\0b")


def test_labels_that_are_not_text_are_refused(tmp_path: Path) -> None:
    """A label file that is not UTF-8 is refused with the place of the bad byte."""
    (tmp_path / "labels.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(LoadFailed, match=r"labels\.txt: 'utf-8' codec .* position 3"):
        read_labels(tmp_path, "labels.txt")
