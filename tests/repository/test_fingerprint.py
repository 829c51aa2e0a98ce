"""Whether a model's files changed."""

import os

from inferd.repository.fingerprint import fingerprint


def test_an_untouched_folder_keeps_its_fingerprint(tmp_path):
    """Looking at it changes nothing."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(b"abc")

    assert fingerprint(tmp_path) == fingerprint(tmp_path)


def test_a_changed_file_changes_it(tmp_path):
    """Even deep down, even when the size stays."""
    path = tmp_path / "1" / "deep" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"abc")
    before = fingerprint(tmp_path)
    path.write_bytes(b"abd")
    os.utime(path, ns=(0, before.newest_ns + 1))

    assert fingerprint(tmp_path) != before


def test_a_new_and_a_removed_file_change_it(tmp_path):
    """And putting things back restores it."""
    path = tmp_path / "config.pbtxt"
    before = fingerprint(tmp_path)
    path.touch()
    assert fingerprint(tmp_path) != before
    path.unlink()

    assert fingerprint(tmp_path) == before


def test_the_newest_time_is_known(tmp_path):
    """An empty folder has none."""
    assert fingerprint(tmp_path).newest_ns == 0
    path = tmp_path / "a"
    path.touch()
    os.utime(path, ns=(0, 5))

    assert fingerprint(tmp_path).newest_ns == 5


def test_a_folder_that_vanished_is_empty(tmp_path):
    """It may be removed while somebody looks."""
    assert fingerprint(tmp_path / "gone").files == ()


def test_links_that_lead_nowhere_are_left_out(tmp_path):
    """Half-copied repositories have them."""
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    (tmp_path / "file").touch()

    assert [name for name, _, _ in fingerprint(tmp_path).files] == ["file"]
