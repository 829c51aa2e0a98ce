"""Tests of the label files."""

import json

from inferd.samples.labels import imagenet_labels, to_file, with_background


def test_first_names_in_capitals_in_order_of_the_classes():
    """A label is the first of a class's names, in capitals, at the class's line."""
    names = {str(index): f"name {index}, other" for index in reversed(range(1000))}
    found = imagenet_labels(json.dumps(names).encode())
    assert len(found) == 1000
    assert (found[0], found[999]) == ("NAME 0", "NAME 999")


def test_background_comes_first():
    """A network with a background class has 1001 labels."""
    assert with_background(["A", "B"]) == ["BACKGROUND", "A", "B"]


def test_one_label_a_line():
    """A label file is UTF-8 with one label a line."""
    assert to_file(["A", "É"]) == "A\nÉ\n".encode()
