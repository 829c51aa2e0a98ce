"""The ImageNet class names, one a line, as the label files of the sample repository have them."""

import json


def imagenet_labels(names: bytes) -> list[str]:
    """
    Return the 1000 labels: each class's first name in capitals.

    Args:
        names: A JSON object from class index to comma-separated names.
    """
    by_index = json.loads(names)
    return [by_index[str(index)].split(",")[0].upper() for index in range(1000)]


def with_background(labels: list[str]) -> list[str]:
    """Return the labels of a network whose class 0 is none of the 1000."""
    return ["BACKGROUND", *labels]


def to_file(labels: list[str]) -> bytes:
    """Return the content of a label file."""
    return ("\n".join(labels) + "\n").encode()
