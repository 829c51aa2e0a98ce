"""Types of the native codec of inference messages; it is described in ``_codec.pyx``."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

class WireError(ValueError): ...

class Codec:
    def __init__(
        self,
        *,
        error: Callable[[str], Exception],
        request: type,
        tensor: type,
        requested_output: type,
        response: type,
        apply_parameters: Callable[[Any, Any], None],
        to_request: Callable[[Any], Any],
        encode_response: Callable[[Any], Any],
        encode_stream_response: Callable[..., Any],
        contents: Mapping[int, Mapping[str, int]],
        dtypes: Mapping[str, Any],
        max_bytes: int,
    ) -> None: ...
    def decode_request(self, data: bytes | bytearray | memoryview) -> Any: ...
    def to_request(self, message: Any) -> Any: ...
    def encode_response(self, response: Any) -> list[bytes | bytearray | memoryview]: ...
    def encode_stream_response(
        self, response: Any, *, final: bool = True
    ) -> list[bytes | bytearray | memoryview]: ...

def split(
    error: Callable[[int | None, int], Exception], raw: bytes | bytearray | memoryview, /
) -> list[bytes]: ...
def unpack(
    error: Callable[[int | None, int], Exception],
    raw: bytes | bytearray | memoryview,
    array: Any,
    /,
) -> int: ...
def join_array(twin: Callable[[Iterable[bytes | str]], bytes], array: Any, /) -> bytes: ...
def join(
    twin: Callable[[Iterable[bytes | str]], bytes], elements: Iterable[bytes | str], /
) -> bytes: ...
def fill(array: Any, elements: list[bytes], /) -> None: ...
