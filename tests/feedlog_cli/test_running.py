from __future__ import annotations

import asyncio
import os
import signal

import pytest

from feedlog_cli.running import run_to_end, serve_until_stopped


def test_work_is_run_to_its_end() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert run_to_end(work()) == 7


def test_sigterm_lets_work_clean_up() -> None:
    cleaned: list[bool] = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    with pytest.raises(SystemExit) as ended:
        run_to_end(work())
    assert ended.value.code == 143
    assert cleaned == [True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_is_told_to_stop(number: signal.Signals) -> None:
    cleaned = []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    serve_until_stopped(work())
    assert cleaned == [True]


def test_a_server_outlives_its_terminal_where_that_is_wanted() -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        serve_until_stopped(work())
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
