"""The plainest receiver of a carrier: it writes down what it is told."""

from __future__ import annotations

import asyncio


class Recording:
    """A receiver that remembers, and tells when something has happened."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.pieces: list[bytes] = []
        self.calls: list[str] = []
        self.error: Exception | None = None
        self._changed = asyncio.Event()

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        self.received += data
        self.pieces.append(bytes(data))
        self._changed.set()

    def carrier_ended(self) -> None:
        self._note("ended")

    def carrier_lost(self, error: Exception | None) -> None:
        self.error = error
        self._note("lost")

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._changed.set()

    async def size(self, size: int) -> None:
        while len(self.received) < size:
            await self.wait()

    async def call(self, name: str) -> None:
        while name not in self.calls:
            await self.wait()

    async def wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
