"""The bed leaves nothing behind, and says so loudly when it cannot be built."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.natbed import bed
from tests.natbed.bed import NatBed


def namespaces(prefix: str) -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line.startswith(prefix)]


def test_it_is_gone_after_its_context() -> None:
    prefix = f"flt{os.getpid()}"
    with NatBed(prefix):
        assert len(namespaces(prefix)) == 11
    assert namespaces(prefix) == []


def test_a_bed_that_fails_half_way_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = f"flf{os.getpid()}"
    monkeypatch.setitem(bed.RULES, "cone", ("no rule", "", "", "", ""))
    with pytest.raises(RuntimeError, match="nft"), NatBed(prefix):
        pass
    assert namespaces(prefix) == []


def test_missing_tools_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "nft" else name)
    with pytest.raises(RuntimeError, match=r"missing: \['nft'\]"):
        NatBed("fl")
