"""A network that can be cut: a TCP proxy between one worker and Redis."""

import asyncio
import threading
from contextlib import suppress

from tests.support.redis import free_port


class Link:
    """Passes bytes both ways. While it is cut, nothing passes and no side is notified, as in a broken network."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"link {self.port}")

    def begin(self) -> None:
        self._thread.start()
        self._ready.wait(10)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.clear)

    def restore(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.set)

    def reset(self) -> None:
        """Drop every connection; new ones pass."""
        self._loop.call_soon_threadsafe(self._drop_all)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        server.close()
        self._drop_all()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def _drop_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._open |= ends
        try:
            # The end of the link cancels the tasks, and asyncio.streams would print a traceback for each.
            with suppress(asyncio.CancelledError):
                await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while content := await source.read(65_536):
                await self._whole.wait()
                sink.write(content)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.transport.abort()
