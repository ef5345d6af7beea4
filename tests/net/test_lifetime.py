from __future__ import annotations

import pytest

from net.lifetime import Lifetime


class Life(Lifetime):
    def __init__(self, trouble: BaseException | None = None) -> None:
        self.trouble = trouble
        self.told: list[str] = []

    async def start(self) -> None:
        self.told.append("start")
        if self.trouble is not None:
            raise self.trouble

    async def close(self) -> None:
        self.told.append("close")


async def test_it_lives_as_long_as_its_context() -> None:
    async with Life() as life:
        assert life.told == ["start"]
    assert life.told == ["start", "close"]


async def test_it_is_closed_when_its_context_fails() -> None:
    life = Life()
    with pytest.raises(KeyError):
        async with life:
            raise KeyError
    assert life.told == ["start", "close"]


@pytest.mark.parametrize("trouble", [OSError("no port"), KeyboardInterrupt()])
async def test_what_a_start_has_opened_is_closed_when_it_fails(trouble: BaseException) -> None:
    life = Life(trouble)
    with pytest.raises(type(trouble)):
        async with life:
            pytest.fail("it has not started")
    assert life.told == ["start", "close"]
