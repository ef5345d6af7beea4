from __future__ import annotations

import pytest

from net.sharing.setbacks import Setback, SetbackKind

PEER = bytes.fromhex("ab12cd34") + bytes(28)


@pytest.mark.parametrize(
    ("setback", "line"),
    [
        (Setback(SetbackKind.UNANNOUNCED), "no announcement found"),
        (Setback(SetbackKind.UNANNOUNCED, reason="by 3"), "no announcement found by 3"),
        (Setback(SetbackKind.SEARCH_FAILED, reason="closed"), "the search failed: closed"),
        (Setback(SetbackKind.BANNED, PEER), "ab12cd34 broke a rule and is banned"),
        (Setback(SetbackKind.UNREACHED, PEER, "tcp: refused"), "ab12cd34: tcp: refused"),
        (Setback(SetbackKind.SILENT, PEER, "tcp"), "ab12cd34 does not answer by tcp"),
        (Setback(SetbackKind.LEFT, PEER, "{reason}"), "ab12cd34 left: {reason}"),
        (Setback(SetbackKind.FALSE_PROOF, PEER, "node 7"), "ab12cd34 was let go: node 7"),
    ],
)
def test_each_kind_has_a_line_for_people(setback: Setback, line: str) -> None:
    assert str(setback) == line


def test_every_kind_has_a_case() -> None:
    mark = test_each_kind_has_a_line_for_people.pytestmark[0]  # type: ignore[attr-defined]  # pytest's
    assert {case[0].kind for case in mark.args[1]} == set(SetbackKind)
