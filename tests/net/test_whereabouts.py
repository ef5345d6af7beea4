"""Addresses of this machine that come and go. Needs root, as the test bed of real routers does."""

from __future__ import annotations

import asyncio

import pytest

from net.whereabouts import Whereabouts, is_here
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
    told = asyncio.Queue[None]()
    with Interface() as interface:
        hosts = ["127.0.0.1", interface.host, "203.0.113.254"]
        looking = Whereabouts(lambda: hosts, lambda: told.put_nowait(None))
        looking.start()
        interface.pull_out()
        while f"addresses of this machine no more: {interface.host}" not in caplog.text:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        assert told.empty()
        interface.plug_in()
        await told.get()
        assert f"addresses of this machine now: {interface.host}" in caplog.text
        hosts.append("::1")  # another route is taken now, for example
        await told.get()
        assert "addresses of this machine now: ::1" in caplog.text
        await looking.close()
    assert len(caplog.records) == 3


async def test_it_may_be_closed_before_it_was_started() -> None:
    await Whereabouts(list, lambda: None).close()
