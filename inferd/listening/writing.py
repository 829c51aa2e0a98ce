"""
Writes several pieces at once, and hears of it when the client does not read.

asyncio's ``writelines`` before Python 3.12.9 and 3.13.2 never pauses the protocol, so that
answers pile up for a client that only sends (CVE-2024-12254). Its ``write`` does.
"""

import asyncio
from collections.abc import Sequence

Buffer = bytes | bytearray | memoryview


def write_all(transport: asyncio.WriteTransport, pieces: Sequence[Buffer]) -> None:
    """Write the pieces in order; the last one by itself, which pauses the protocol if need be."""
    if len(pieces) > 1:
        transport.writelines(pieces[:-1])
    if pieces:
        transport.write(pieces[-1])
