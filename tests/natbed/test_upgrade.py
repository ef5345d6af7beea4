"""A stream begins over a relay, because no UDP passes, and goes on through a hole when it does.

Then the routers let TCP pass as well.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from tests.natbed.bed import NatBed
from tests.natbed.members import Members


@pytest.mark.soak
def test_from_a_relay_through_a_hole_to_tcp() -> None:
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"mv{os.getpid()}"))
        members = Members(bed, stack, relay=True)
        key = members.listen(members.place(2, "cone"))
        members.on("srv").ask("places", key)
        near = members.place(1, "blocked")
        found = members.connect(near, key)
        assert found["way"].startswith("relay "), found
        assert found["carried"]

        bed.set_router(1, "cone")  # the laptop is in another network now
        near.ask("look every", 1.0)
        while near.ask("way").startswith("relay "):
            assert near.ask("talk after", 0.2, 20.0)
        assert near.ask("way").startswith("punched ")
        assert near.ask("talk until", "punched tcp ", 30.0)
