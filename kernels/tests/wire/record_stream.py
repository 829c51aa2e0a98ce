"""
Records what one client sends: the streams that the fuzz tests begin with were made by it.

    python kernels/tests/wire/record_stream.py HOST:PORT FILE

Prints the address to point the client at, passes its one connection on to a server at
HOST:PORT, and writes the client's bytes to FILE when either side hangs up.
"""

import asyncio
import sys
from pathlib import Path


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    """Pass bytes on until their end, and keep them."""
    while data := await reader.read(1 << 16):
        kept += data
        writer.write(data)
        await writer.drain()


async def record(address: str) -> bytes:
    """Return what the client of one connection sends."""
    host, port = address.rsplit(":", 1)
    sent = bytearray()
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        ways = [copy(reader, to_writer, sent), copy(to_reader, writer, bytearray())]
        await asyncio.wait(
            [asyncio.create_task(way) for way in ways], return_when="FIRST_COMPLETED"
        )
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await over.wait()
    return bytes(sent)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(asyncio.run(record(sys.argv[1])))
