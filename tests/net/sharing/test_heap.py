"""Freed buffers are kept: in a process of its own, for it is taught once."""

from __future__ import annotations

import platform
import subprocess
import sys

PAGES = 256

SCRIPT = """
import resource
from net.sharing.heap import keep_freed_buffers
keep_freed_buffers()
keep_freed_buffers()

def work(rounds):
    for _ in range(rounds):
        piece = bytearray(1 << 20)
        del piece

work(4)
before = resource.getrusage(resource.RUSAGE_SELF)
work(100)
after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_minflt - before.ru_minflt, after.ru_maxrss)
"""


def test_a_buffer_is_not_given_back_and_asked_for_again() -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    faults, peak = map(int, result.stdout.split())
    if platform.libc_ver()[0] == "glibc":
        assert faults < 100 * PAGES // 10
    assert peak < 1 << 20  # KiB: nothing was touched that was not used
