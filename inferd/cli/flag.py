"""
One option of the server, and the four kinds there are.

An option is *used* (it sets a field of :class:`~inferd.config.ServerConfig`), *ignored*
(it tunes machinery inferd does not have; taken, checked for form and without effect),
*refused* (it asks for a feature that is not there yet, and serving on without it would
not be what the operator asked for; its neutral value is taken) or *deprecated*.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from inferd.cli import values
from inferd.cli.values import last

Reader = Callable[[Sequence[str]], object]


@dataclass(frozen=True, slots=True)
class Flag:
    """
    One option.

    Attributes:
        name: Its name without the dashes.
        help: What it does.
        read: Turns its occurrences into a value; raises ``ValueError``.
        field: The field of the configuration it sets, ``log.<field>`` for those of the
            log settings; None when it sets none.
        default: The default the help shows; that of the field when empty.
        neutral: For refused options, the values that ask for nothing.
        refused: Whether values other than the neutral ones are refused.
        bare: Whether it takes no value.
        warning: Printed when it is used.
    """

    name: str
    help: str
    read: Reader
    field: str | None = None
    default: str = ""
    neutral: tuple[str, ...] = ()
    refused: bool = False
    bare: bool = False
    warning: str = ""

    @property
    def ignored(self) -> bool:
        """Whether it has no effect at all."""
        return self.field is None and not self.refused

    @property
    def variable(self) -> str:
        """The environment variable that stands in for it."""
        return f"INFERD_{self.name.upper().replace('-', '_')}"


def used(name: str, field: str, read: Reader, help: str, *, default: str = "") -> Flag:
    """Return an option that sets a field of the configuration."""
    return Flag(name, help, read, field=field, default=default)


def ignored(name: str, default: str, read: Callable[[str], object], help: str) -> Flag:
    """Return an option without effect."""
    return Flag(name, help, last(read), default=default)


def refused(name: str, neutral: tuple[str, ...], help: str) -> Flag:
    """Return an option of which only the neutral values are taken."""
    default = neutral[0] if neutral else ""
    return Flag(name, help, values.every, default=default, neutral=neutral, refused=True)


def deprecated(flag: Flag, instead: str) -> Flag:
    """Return an option that says which one to use in its place."""
    warning = f"Warning: '--{flag.name}' has been deprecated! Please use '--{instead}' instead."
    return replace(flag, warning=warning)
