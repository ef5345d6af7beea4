"""The benchmarks' own arithmetic: a wrong median or a hidden miss would be worse than no figure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.__main__ import QUESTIONS, main
from benchmarks.harness import Bench, figure_of, machine
from benchmarks.report import Answer, Figure, Limit, Times, document, table


def figure(who: str, *runs: float) -> Figure:
    return Figure(who, "blocks/s", runs)


def answer(*targets: Times | Limit, ours: float = 200.0, lower: bool = False) -> Answer:
    peers = (figure("slow", 50.0), figure("fast", 100.0))
    return Answer("append", figure("feedlog", ours), peers, targets, lower_is_better=lower)


class TestFigure:
    def test_the_median_counts_and_not_the_mean(self) -> None:
        assert figure("x", 10.0, 11.0, 900.0).median == 11.0

    def test_the_spread_is_relative_to_the_median(self) -> None:
        assert figure("x", 8.0, 10.0, 12.0).spread == pytest.approx(0.4)

    def test_a_peers_line_becomes_a_figure_with_its_other_facts(self) -> None:
        values = {"peer": "p", "version": "1.2", "unit": "ms", "runs": [3, 1, 2], "rss": 7}
        read = figure_of(values)
        assert (read.who, read.version, read.unit, read.median) == ("p", "1.2", "ms", 2)
        assert read.facts == {"rss": 7}


class TestRatio:
    def test_more_is_better(self) -> None:
        given = answer()
        assert [given.ratio(peer) for peer in given.peers] == [4.0, 2.0]

    def test_less_is_better(self) -> None:
        given = answer(ours=25.0, lower=True)
        assert [given.ratio(peer) for peer in given.peers] == [2.0, 4.0]

    @pytest.mark.parametrize(("lower", "best"), [(False, "fast"), (True, "slow")])
    def test_the_best_peer_is_the_one_hardest_to_beat(self, lower: bool, best: str) -> None:
        peer = answer(lower=lower).best_peer()
        assert peer is not None
        assert peer.who == best


class TestTargets:
    @pytest.mark.parametrize(
        ("target", "met"),
        [
            (Times(2.0), True),
            (Times(2.1), False),
            (Times(4.0, "slow"), True),
            (Times(4.1, "slow"), False),
            (Times(1.0, "absent"), None),
            (Limit(200.0, "blocks/s"), True),
            (Limit(201.0, "blocks/s"), False),
        ],
    )
    def test_where_more_is_better(self, target: Times | Limit, met: bool | None) -> None:
        assert answer(target).met(target) is met

    @pytest.mark.parametrize(("limit", "met"), [(200.0, True), (199.0, False)])
    def test_a_limit_is_an_upper_one_where_less_is_better(self, limit: float, met: bool) -> None:
        target = Limit(limit, "ms")
        assert answer(target, lower=True).met(target) is met

    def test_without_any_peer_a_comparison_is_unknown(self) -> None:
        alone = Answer("append", figure("feedlog", 1.0), (), (Times(2.0),))
        assert alone.met(Times(2.0)) is None
        assert "unknown" in table([alone])


class TestTable:
    def test_every_peer_and_every_target_has_its_place(self) -> None:
        targets = (Times(3.0), Times(4.0, "slow"), Times(1.0, "absent"), Limit(100.0, "blocks/s"))
        lines = table([answer(*targets)]).splitlines()
        cells = [line.split() for line in lines[2:]]
        assert cells[0][:3] == ["append", "200", "blocks/s"]
        assert cells[0][-4:] == ["4", "x", "slow", "met"]
        assert cells[1][-5:] == ["3", "x", "the", "best", "MISSED"]
        assert cells[2][-4:] == ["1", "x", "absent", "unknown"]
        assert cells[3][-3:] == ["100", "blocks/s", "met"]

    def test_a_note_follows_the_table(self) -> None:
        noted = Answer("append", figure("feedlog", 1.0), note="relaxed durability")
        assert table([noted]).splitlines()[-1] == "append: relaxed durability"

    def test_a_figure_whose_runs_differ_widely_is_doubted(self) -> None:
        steady = Answer("append", figure("feedlog", 9.0, 10.0, 11.0))
        disturbed = Answer("append", figure("feedlog", 5.0, 10.0, 11.0))
        assert "measure again" not in table([steady])
        assert "append: the runs of feedlog differ by 60%" in table([disturbed])

    def test_the_document_keeps_every_run_and_is_json(self) -> None:
        given = answer(Times(9.0))
        values = json.loads(json.dumps(document([given], {"python": "3"})))
        (row,) = values["answers"]
        assert row["ours"]["runs"] == [200.0]
        assert [peer["ratio"] for peer in row["peers"]] == [4.0, 2.0]
        assert row["targets"] == [{"target": "9 x the best", "met": False}]


class TestBench:
    def test_the_first_run_only_warms_up(self) -> None:
        values = iter([1.0, 10.0, 30.0, 20.0])
        assert Bench().ours("blocks/s", lambda: next(values)).runs == (10.0, 30.0, 20.0)

    def test_a_quick_run_measures_once_and_does_less(self) -> None:
        bench = Bench(quick=True)
        values = iter([1.0, 2.0])
        assert bench.ours("blocks/s", lambda: next(values)).runs == (2.0,)
        assert bench.size(1000, 10) == 10

    def test_without_peers_none_is_asked(self) -> None:
        assert Bench(peers=False).peer("no_such_script.js", "nobody") == ()

    def test_the_machine_names_itself_and_the_versions(self) -> None:
        about = machine()
        assert {"processor", "cores", "python", "node", "feedlog", "lmdb"} <= about.keys()
        assert all(about.values())


class TestQuestions:
    def test_a_quick_run_of_one_question_reports_our_figure(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = tmp_path / "report.json"
        assert main(["append_batch", "--quick", "--no-peers", "--json", str(report)]) == 0
        (row,) = json.loads(report.read_text(encoding="utf-8"))["answers"]
        assert row["ours"]["median"] > 0
        assert row["peers"] == []
        assert {target["met"] for target in row["targets"]} == {None}
        assert "append 2000 blocks in one batch" in capsys.readouterr().out

    def test_an_unknown_question_is_refused_with_the_known_ones(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main(["append_all"])
        assert "append_single" in capsys.readouterr().err

    def test_every_question_is_asked(self) -> None:
        files = Path(harness.__file__).parent.glob("*.py")
        asking = {f.stem for f in files if "\ndef run(bench: Bench)" in f.read_text("utf-8")}
        assert asking == set(QUESTIONS)
