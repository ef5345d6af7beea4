"""Addresses of this machine that come and go. Needs root, as the test bed of real routers does."""

from __future__ import annotations

import asyncio

import pytest

from net.reaching.whereabouts import Whereabouts, is_here
from tests.reference.files import no_file_left
from tests.reference.interfaces import Interface


def test_what_is_of_this_machine() -> None:
    assert is_here("127.0.0.1")
    assert is_here("::1")
    assert not is_here("203.0.113.254")
    assert not is_here("2001:db8::254")
    with Interface() as interface:
        assert is_here(interface.host)
        interface.pull_out()
        assert not is_here(interface.host)
        interface.plug_in()


async def test_only_what_comes_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told, changed = asyncio.Queue[None](), asyncio.Queue[None]()
    with Interface() as interface:
        hosts = [interface.host, "203.0.113.254"]
        looking = Whereabouts(
            lambda: hosts,
            changed=lambda: changed.put_nowait(None),
            moved=lambda: told.put_nowait(None),
        )
        looking.start()
        interface.pull_out()
        while f"this machine is not at {interface.host} any more" not in caplog.text:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        assert told.empty()
        assert changed.empty()
        hosts[1:] = ["203.0.113.253", "127.0.0.1"]  # as others see us now, and a route of our own
        await changed.get()
        assert told.empty()
        hosts.reverse()
        interface.plug_in()
        await told.get()
        assert changed.empty(), "another order is none"
        await looking.close()
    assert caplog.messages == [
        f"this machine is not at {interface.host} any more",
        f"this machine is at {interface.host} now",
    ]


def test_who_cannot_look_has_no_news() -> None:
    looking = Whereabouts(list, changed=lambda: None, moved=lambda: None)
    looking._known = looking._here = {"203.0.113.254"}
    with no_file_left():
        assert looking._look() == {"203.0.113.254"}
    assert looking._look() == set()


async def test_it_may_be_closed_before_it_was_started() -> None:
    await Whereabouts(list, changed=lambda: None, moved=lambda: None).close()
