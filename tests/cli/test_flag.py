"""One option: what it is named in the environment, and what its kind does with it."""

from inferd.cli.flag import deprecated, ignored, refused, used
from inferd.cli.values import last


def test_the_variable_is_named_after_the_option():
    """In capitals, with underscores."""
    assert used("http-port", "http_port", last(int), "").variable == "INFERD_HTTP_PORT"


def test_only_an_option_without_effect_is_ignored():
    """One that sets a field, and one that is refused, are not."""
    assert ignored("a", "1", int, "").ignored
    assert not used("b", "b", last(int), "").ignored
    assert not refused("c", ("off",), "").ignored


def test_a_refused_option_shows_what_it_takes():
    """The first neutral value is its default; without any it has none."""
    assert refused("c", ("off", "0"), "").default == "off"
    assert refused("d", (), "").default == ""


def test_a_deprecated_option_names_its_successor():
    """In tritonserver's words, and works as before."""
    flag = deprecated(ignored("old", "", str, "Help."), "new")

    assert flag.warning == ("Warning: '--old' has been deprecated! Please use '--new' instead.")
    assert flag.ignored
