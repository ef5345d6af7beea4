"""A link with delay and loss between two network namespaces of this machine.

Each namespace gets a TUN device; this module's own process carries packets from one to the
other, holding each for the one-way delay and dropping some at random from a fixed seed. Kernel
sockets run on both ends, so TCP, QUIC and the peers' UDP transport all meet the same link. It
stands in for `tc netem`, which many kernels lack.

Needs root and /dev/net/tun; `why_not()` says so in words where they are missing. Packets keep
their order: the delay is constant, so a queue in order of arrival is a queue in order of time.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NEAR_ADDRESS = "10.77.0.1"
FAR_ADDRESS = "10.77.0.2"

QUEUE_BYTES = 64 << 20
"""What one direction may hold: 0.5 s at 128 MB/s. More is dropped, as a router does."""

BURST = 64
"""Packets read from one device before the queues are looked at again."""

ASK_TIMEOUT = 60.0
"""Seconds for one measurement across the link, with starting the processes and filling feeds."""

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
CLONE_NEWNET = 0x40000000


def why_not() -> str | None:
    """Say why no link can be made here, or return None."""
    if os.geteuid() != 0:
        return "a delayed link needs root, for network namespaces"
    if not Path("/dev/net/tun").exists():
        return "a delayed link needs /dev/net/tun"
    if shutil.which("ip") is None:
        return "a delayed link needs the `ip` command (iproute2)"
    return None


class Link:
    """Two namespaces, `near` and `far`, joined for as long as the context lasts."""

    def __init__(self, *, delay_ms: float, loss_percent: float = 0.0) -> None:
        self.near = f"feedlog-near-{os.getpid()}"
        self.far = f"feedlog-far-{os.getpid()}"
        self._delay_ms = delay_ms
        self._loss_percent = loss_percent
        self._carrier: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for namespace in (self.near, self.far):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        arguments = [self.near, self.far, str(self._delay_ms), str(self._loss_percent)]
        self._carrier = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.link", *arguments], stdout=subprocess.PIPE
        )
        assert self._carrier.stdout is not None
        if self._carrier.stdout.readline().strip() != b"ready":
            self.__exit__(None, None, None)
            raise RuntimeError("the link's carrier did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._carrier is not None:
            self._carrier.kill()
            self._carrier.communicate()
        for namespace in (self.near, self.far):
            _ip("netns", "delete", namespace)

    def inside(self, namespace: str, command: Sequence[str]) -> list[str]:
        """Wrap a command so that it runs at one end of the link."""
        return ["ip", "netns", "exec", namespace, *command]

    def ask(self, serve: Sequence[str], ask: Callable[[str], Sequence[str]]) -> dict[str, Any]:
        """Serve at the far end, ask at the near one, and return the JSON line of the answer.

        The serving process prints a JSON line with a `key` when it is ready, and is killed
        when the asking one, started with the command that `ask` makes of that key, is done.
        What they leave in their temporary directory goes with it.
        """
        with tempfile.TemporaryDirectory(prefix="feedlog-bench-") as scratch:
            return self._ask(serve, ask, {**os.environ, "TMPDIR": scratch})

    def _ask(
        self,
        serve: Sequence[str],
        ask: Callable[[str], Sequence[str]],
        environment: Mapping[str, str],
    ) -> dict[str, Any]:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": environment}
        serving = subprocess.Popen(self.inside(self.far, serve), **pipes)
        try:
            assert serving.stdout is not None
            ready = serving.stdout.readline()
            if not ready:
                raise RuntimeError(f"{' '.join(serve)} served nothing")
            command = self.inside(self.near, ask(json.loads(ready)["key"]))
            done = subprocess.run(command, timeout=ASK_TIMEOUT, check=True, **pipes)
            answer: dict[str, Any] = json.loads(done.stdout)
            return answer
        finally:
            serving.kill()
            serving.communicate()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _device(namespace: str, address: str) -> int:
    """Create the TUN device of one namespace; return its descriptor, usable from any namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(there, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"wan", IFF_TUN_NO_PI))
    _ip("address", "add", f"{address}/30", "dev", "wan")
    _ip("link", "set", "dev", "wan", "up", "mtu", "1500", "txqueuelen", "2000")
    libc.setns(home, CLONE_NEWNET)
    os.close(home)
    os.close(there)
    return device


class Direction:
    """Packets under way from one device to the other."""

    def __init__(self, source: int, sink: int, delay: float, loss: float, seed: int) -> None:
        self.source = source
        self._sink = sink
        self._delay = delay
        self._loss = loss
        self._rng = random.Random(seed)
        self._queue: deque[tuple[float, bytes]] = deque()
        self._held = 0

    def read(self, now: float) -> None:
        for _ in range(BURST):
            try:
                packet = os.read(self.source, 65535)
            except BlockingIOError:
                return
            if self._loss and self._rng.random() < self._loss:
                continue
            if self._held + len(packet) > QUEUE_BYTES:
                continue
            self._held += len(packet)
            self._queue.append((now + self._delay, packet))

    def deliver(self, now: float) -> None:
        queue = self._queue
        while queue and queue[0][0] <= now:
            packet = queue.popleft()[1]
            self._held -= len(packet)
            try:
                os.write(self._sink, packet)
            except OSError:
                continue  # the device's queue is full, or its namespace is being taken down

    def due(self) -> float | None:
        return self._queue[0][0] if self._queue else None


def carry(near: str, far: str, delay_ms: float, loss_percent: float) -> None:
    """Carry packets between two namespaces until killed."""
    left, right = _device(near, NEAR_ADDRESS), _device(far, FAR_ADDRESS)
    delay, loss = delay_ms / 1000, loss_percent / 100
    directions = {
        left: Direction(left, right, delay, loss, seed=1),
        right: Direction(right, left, delay, loss, seed=2),
    }
    poller = select.epoll()
    for device in directions:
        poller.register(device, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        due = [moment for d in directions.values() if (moment := d.due()) is not None]
        wait = max(0.0, min(due) - time.monotonic()) if due else -1
        for device, _ in poller.poll(wait):
            directions[device].read(time.monotonic())
        now = time.monotonic()
        for direction in directions.values():
            direction.deliver(now)


if __name__ == "__main__":
    carry(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
