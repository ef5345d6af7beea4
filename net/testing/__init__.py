"""For tests of programs that use this network: a clock that is moved by hand and a network
with routers, loss and delay that is made from a seed.

    from net.testing import FakeNet, NatKind

Public: what is listed here keeps its form from one release to the next.
"""

from __future__ import annotations

from net.testing.clock import Clock, Timer
from net.testing.fakenet import FakeNet, FakeSocket, Host, Router
from net.testing.nat import Nat, NatKind

__all__ = ["Clock", "FakeNet", "FakeSocket", "Host", "Nat", "NatKind", "Router", "Timer"]
