"""Tests of drawings as SVG and PNG."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image

from inferd.cli.benchmark.drawing import Drawing, Segments, Text, as_png, as_svg

RED = [255, 0, 0]


def drawing():
    """Return a red line from the left to the right with words."""
    line = Segments([(0, 50), (100, 50)], "#ff0000", 2, has_dots=True)
    words = [Text(50, 20, "<a> & b"), Text(20, 50, "upright", is_upright=True)]
    return Drawing(100, 100, [line], [*words, Text(99, 90, "end", "end")])


def test_svg():
    """Every line, dot and word is in the document, escaped."""
    root = ElementTree.fromstring(as_svg(drawing()))
    assert [element.text for element in root.findall("{*}text")] == ["<a> & b", "upright", "end"]
    assert root.find("{*}polyline").get("points") == "0.0,50.0 100.0,50.0"
    assert len(root.findall("{*}circle")) == 2


def test_png():
    """The image has twice as many pixels, the line in its colour and words in black on white."""
    pixels = np.asarray(Image.open(io.BytesIO(as_png(drawing()))))
    assert pixels.shape == (200, 200, 3)
    assert (pixels[100, 60:] == RED).all()
    assert (pixels[180:, 180:] == 255).all()
    dark = pixels.max(axis=2) < 100
    assert dark[10:42, 40:160].any()
    assert dark[140:180, 140:].any()
    assert dark[60:95, 10:50].any()
    assert not dark[:, :10].any()


def test_empty_line():
    """A line without points draws nothing."""
    empty = Drawing(10, 10, [Segments([], "#ff0000", 1)])
    assert (np.asarray(Image.open(io.BytesIO(as_png(empty)))) == 255).all()
