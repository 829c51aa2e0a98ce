"""
A drawing of lines and words, and its two forms: SVG, written here, and PNG, by Pillow.

Places are in units of a pixel at the size of the drawing, from its upper left corner.
"""

import io
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import escape

_FONT_SIZE: Final = 13
_DOT: Final = 3
_SCALE: Final = 2
"""PNG has so many pixels per unit, for screens of high resolution."""
_PILLOW_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}


@dataclass(frozen=True, slots=True)
class Segments:
    """
    A line through points.

    Attributes:
        points: The points (x, y).
        colour: ``#rrggbb``.
        width: Its width.
        has_dots: Whether the points are marked.
    """

    points: list[tuple[float, float]]
    colour: str
    width: int
    has_dots: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """
    Words.

    Attributes:
        x: Where they are, see ``anchor``.
        y: Their base line.
        text: The words.
        anchor: What of them is at ``x``: ``start``, ``middle`` or ``end``.
        is_upright: Whether they are read from below to above; with the anchor ``middle``.
    """

    x: float
    y: float
    text: str
    anchor: str = "middle"
    is_upright: bool = False


@dataclass(slots=True)
class Drawing:
    """
    What is drawn, in this order, on white.

    Attributes:
        width: Its width.
        height: Its height.
        lines: Lines.
        texts: Words.
    """

    width: int
    height: int
    lines: list[Segments] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


def as_svg(drawing: Drawing) -> bytes:
    """Return the drawing as an SVG document."""
    width, height = drawing.width, drawing.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="{_FONT_SIZE}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for line in drawing.lines:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" '
            f'stroke-width="{line.width}"/>'
        )
        dots = line.points if line.has_dots else []
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT}" fill="{line.colour}"/>' for x, y in dots
        ]
    parts += [_svg_text(text) for text in drawing.texts]
    return "\n".join([*parts, "</svg>", ""]).encode()


def _svg_text(text: Text) -> str:
    place = f'x="{text.x:.1f}" y="{text.y:.1f}"'
    if text.is_upright:
        place = f'transform="translate({text.x:g} {text.y:g}) rotate(-90)"'
    return f'<text {place} text-anchor="{text.anchor}">{escape(text.text)}</text>'


def as_png(drawing: Drawing) -> bytes:
    """
    Return the drawing as a PNG image.

    Raises:
        ImportError: Pillow is not installed.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (drawing.width * _SCALE, drawing.height * _SCALE), "white")
    pen = ImageDraw.Draw(image)
    dot = _DOT * _SCALE
    for line in drawing.lines:
        points = [(x * _SCALE, y * _SCALE) for x, y in line.points]
        pen.line(points, line.colour, line.width * _SCALE, joint="curve")
        for x, y in points if line.has_dots else []:
            pen.ellipse((x - dot, y - dot, x + dot, y + dot), line.colour)
    font = ImageFont.load_default(_FONT_SIZE * _SCALE)
    for text in drawing.texts:
        if text.is_upright:
            _draw_upright(image, text, font)
        else:
            place = (text.x * _SCALE, text.y * _SCALE)
            pen.text(place, text.text, "black", font, _PILLOW_ANCHORS[text.anchor])
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _draw_upright(image: Any, text: Text, font: Any) -> None:
    """Draw words on a strip of their own and turn it."""
    from PIL import Image, ImageDraw

    length, height = round(font.getlength(text.text)) + 2, _FONT_SIZE * _SCALE * 3 // 2
    strip = Image.new("RGB", (length, height), "white")
    ImageDraw.Draw(strip).text((1, _FONT_SIZE * _SCALE), text.text, "black", font, "ls")
    left = round(text.x * _SCALE) - _FONT_SIZE * _SCALE
    image.paste(strip.rotate(90, expand=True), (left, round(text.y * _SCALE) - length // 2))
