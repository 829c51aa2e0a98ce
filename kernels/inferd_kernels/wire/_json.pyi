"""Types of the kernel for numbers in JSON; it is described in ``_json.pyx``."""

from typing import Any

def cut(
    raw: bytes | bytearray | memoryview, shortest: int, /
) -> tuple[bytes, list[tuple[int, int, int]]] | None: ...
def fill(
    raw: bytes | bytearray | memoryview, start: int, stop: int, kind: int, array: Any, /
) -> bool: ...
def write(template: bytes, arrays: list[tuple[int, Any]], /) -> bytes: ...
