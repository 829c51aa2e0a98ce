"""The plot."""

from xml.etree import ElementTree

from chart import Row, as_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*rows):
    """Return the SVG document of rows with two series."""
    return ElementTree.fromstring(as_svg("Title", "requests/s", ("ours", "<echo>"), rows))


def across(root):
    """Return where the dots of the rows are, from the left; the legend has one per series."""
    return [float(dot.get("cx")) for dot in root.iter(f"{SVG}circle")][2:]


def test_a_larger_number_is_further_to_the_right():
    """The last series is drawn first, so that ours is on top."""
    echo, ours = across(drawn(Row("a", (10.0, 1000.0))))

    assert ours < echo


def test_equal_ratios_are_equally_far_apart():
    """The axis is logarithmic."""
    root = drawn(*(Row("a", (value, None)) for value in (1.0, 10.0, 100.0)))
    first, second, third = across(root)

    assert abs((second - first) - (third - second)) < 0.2


def test_what_was_not_measured_has_no_dot():
    """Nothing is drawn for it."""
    assert len(across(drawn(Row("a", (10.0, None))))) == 1


def test_a_target_is_a_mark_at_its_number():
    """It is as far to the right as a dot of the same number."""
    root = drawn(Row("a", (50.0, 90.0), target=50.0))
    marks = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == "#000000"]

    assert float(marks[-1].get("x1")) == across(root)[1]


def test_names_are_escaped():
    """A name may hold what means something in XML."""
    texts = [text.text for text in drawn(Row("a & b", (10.0, 20.0))).iter(f"{SVG}text")]

    assert "a & b" in texts
    assert "<echo>" in texts


def test_equal_numbers_can_be_drawn():
    """An axis of one power of ten has room for both ends."""
    assert len(across(drawn(Row("a", (10.0, 10.0))))) == 2


def test_the_axis_is_labelled_with_powers_of_ten():
    """Written out, below 1 as well."""
    texts = [text.text for text in drawn(Row("a", (0.05, 2_000_000.0))).iter(f"{SVG}text")]

    assert {"0.01", "0.1", "1", "1,000,000", "10,000,000"} <= set(texts)
