"""What stands before the archive in a company: it ends TLS and passes the bytes on to loopback.

python -m tests.support.tls_end ADDRESS PORT CERTIFICATE KEY TARGET_PORT
"""

from __future__ import annotations

import asyncio
import ssl
import sys

PIECE = 64 * 1024


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main(address: str, port: int, certificate: str, key: str, target: int) -> None:
    """Until it is killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    tasks: set[asyncio.Task[None]] = set()

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.ensure_future(_pump(source, sink))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async with await asyncio.start_server(passed_on, address, port, ssl=context) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))
