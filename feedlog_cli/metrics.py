"""Figures of a running process for a monitoring system: Prometheus' text over a tiny HTTP.

One page, /metrics, which is made when it is asked for. Text format 0.0.4 is a line of name,
labels and number for each sample, with a line of help and one of type before the first.

Invariant: whoever asks gets some KB and a few seconds, and there are at most MAX_CLIENTS at once.
Must not know what the figures mean.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from feedlog_cli.errors import CommandError
from net.addresses import Address, format_address
from net.lifetime import Lifetime

MAX_CLIENTS = 16
MAX_REQUEST = 4096
"""Bytes of a request's head; those of Prometheus have 300."""
TIMEOUT = 5.0
"""Seconds for a request to come, and for the answer to go."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure, or one for each value of a label. `kind` is "gauge" or "counter"."""

    name: str
    help: str
    kind: str
    values: float | Mapping[str, float]
    label: str = ""


def render(metrics: Sequence[Metric]) -> str:
    """Write metrics as Prometheus reads them."""
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        if isinstance(metric.values, Mapping):
            for value in sorted(metric.values):
                quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
                lines.append(f'{metric.name}{{{metric.label}="{quoted}"}} {metric.values[value]}')
        else:
            lines.append(f"{metric.name} {metric.values}")
    return "\n".join(lines) + "\n"


class MetricsServer(Lifetime):
    """Serves what `collect` returns, as an async context manager."""

    def __init__(self, address: Address, collect: Callable[[], Sequence[Metric]]) -> None:
        self._address = address
        self._collect = collect
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; raises `CommandError` where that is impossible."""
        try:
            self._server = await asyncio.start_server(
                self._connected, *self._address, limit=MAX_REQUEST
            )
        except OSError as error:
            where = format_address(self._address)
            raise CommandError(f"no metrics on {where}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    @property
    def address(self) -> str:
        """Where it listens, with the port that was found if port 0 was asked for."""
        assert self._server is not None, "set on entering"
        return format_address(self._server.sockets[0].getsockname()[:2])

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refused = asyncio.LimitOverrunError, asyncio.IncompleteReadError, OSError
        try:
            with contextlib.suppress(*refused):
                async with asyncio.timeout(TIMEOUT):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        finally:
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in {b"GET", b"HEAD"}:
            status, text = "405 Method Not Allowed", "GET is what can be done here\n"
        elif path != b"/metrics":
            status, text = "404 Not Found", "the figures are at /metrics\n"
        else:
            status, text = "200 OK", render(self._collect())
        body = text.encode()
        fields = (
            f"HTTP/1.1 {status}",
            "Content-Type: text/plain; version=0.0.4; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        return "\r\n".join(fields).encode() + b"\r\n\r\n" + (b"" if method == b"HEAD" else body)
