"""Sets for the judge: what is in them, that labels stay outside, and how they are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from novaflow_bench.core import verdicts
from novaflow_bench.core.pool_file import read_pool, write_pool
from novaflow_bench.core.sets import (
    MAJORITY,
    NONE_VALID,
    ONE_VALID,
    SIZE,
    WRONG_MAJORITY,
    Labelled,
    SetCounts,
    draw_sets,
)
from novaflow_bench.judge import REAL, SIM, Case, counted
from novaflow_core.candidate import CandidateScore, Gate
from novaflow_flowgen.core.critic import Critic

END = (0.5, 0.0, 0.1)


def video(kind: str, *, passes: bool, severity: str = "near", **more: object) -> Labelled:
    gate = Gate("relation_m", 0.0, 0.0, passes, "5 mm")
    score = CandidateScore("video_3", 0.8 if passes else 0.0, (gate,))
    values = {"held_out": False, "like": "", "made_by": "cut_out"} | more
    end = END if passes else None
    return Labelled(kind, severity if kind else "", score=score, end=end, **values)


def pool(*, right_pass: bool = True, wrong_pass: bool = False) -> list[Labelled]:
    out = [video("", passes=right_pass) for _ in range(3)]
    out += [video(f"kind_{k}", passes=wrong_pass) for k in range(9)]
    out += [video("unseen", passes=wrong_pass, held_out=True) for _ in range(2)]
    out += [video("lean", passes=wrong_pass, like="lean") for _ in range(MAJORITY)]
    return out


def sets(items: list[Labelled], seed: int = 0) -> list:
    return draw_sets(items, SetCounts(), np.random.default_rng(seed))


def test_every_set_holds_what_its_form_says() -> None:
    drawn = sets(pool())
    assert {s.form for s in drawn} == {ONE_VALID, WRONG_MAJORITY, NONE_VALID}
    for item in drawn:
        assert len(item.members) == SIZE
        assert sum(m.valid for m in item.members) == (item.form != NONE_VALID)
        assert any(m.held_out for m in item.members) == item.held_out
        if item.form == WRONG_MAJORITY:
            assert sum(m.like == "lean" for m in item.members) == MAJORITY


def test_the_right_one_stands_anywhere_and_no_name_tells() -> None:
    drawn = [s for seed in range(6) for s in sets(pool(), seed) if s.form == ONE_VALID]
    places = {next(k for k, m in enumerate(s.members) if m.valid) for s in drawn}
    assert len(places) >= SIZE - 1
    for item in drawn:
        names = [j.score.candidate_id for j in item.judgements()]
        assert names == [f"candidate_{k}" for k in range(1, SIZE + 1)]


def test_a_pool_that_cannot_fill_a_form_yields_none_of_it() -> None:
    few = [video("", passes=True), *(video("lean", passes=False) for _ in range(7))]
    assert {s.form for s in sets(few)} == {ONE_VALID}


def test_a_judge_that_knows_and_one_that_is_blind() -> None:
    decide = Critic().decide
    plain = [s for s in sets(pool()) if not s.held_out]
    knowing = verdicts.of_sets(plain, decide)
    assert knowing["top1_valid"]["share"] == 1.0 == knowing["none_detected"]["share"]
    assert knowing["refused_with_valid"]["share"] == 0.0
    assert knowing["random_choice"] == pytest.approx(1 / SIZE)
    blind = [s for s in sets(pool(wrong_pass=True)) if not s.held_out]
    assert verdicts.of_sets(blind, decide)["none_detected"]["share"] == 0.0
    assert verdicts.of_sets(blind, decide)["top1_valid"]["share"] < 0.6
    strict = [s for s in sets(pool(right_pass=False)) if not s.held_out]
    assert verdicts.of_sets(strict, decide)["refused_with_valid"]["share"] == 1.0


def test_kinds_and_gates_are_counted_by_the_first_gate_that_fails() -> None:
    items = [
        video("", passes=True), video("", passes=False), video("lean", passes=False),
        video("lean", passes=True, severity="far"),
    ]  # fmt: skip
    kinds = verdicts.of_kinds(items)
    assert kinds["valid"]["rejected"] == 1 and kinds["valid"]["recall"] == 0.5
    assert kinds["lean"]["near"] == "1 of 1" and kinds["lean"]["far"] == "0 of 1"
    assert kinds["lean"]["gates"] == {"relation_m": 1}
    gates = verdicts.of_gates(items)
    assert gates["relation_m"] == {"stopped": 2, "precision": 0.5, "recall": 0.5}


def test_shares_carry_their_interval_and_none_has_no_share() -> None:
    assert verdicts.share([])["share"] is None
    found = verdicts.share([True] * 9 + [False])
    assert found["share"] == 0.9 and found["interval_95"][0] == pytest.approx(0.596, abs=0.001)


def test_a_pool_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    items = pool()
    write_pool(tmp_path / "pools" / "cup_1000.json", items)
    assert read_pool(tmp_path / "pools" / "cup_1000.json") == items


def test_simulated_and_real_pools_are_counted_apart() -> None:
    view = Case(REAL, "desk_0", 1000, entry={"view": "desk"})
    values = counted([(Case(SIM, "cup_1000", 1000), pool()), (view, pool(right_pass=False))])
    assert values["top1_valid_sim"] == 1.0 and values["top1_valid_real"] == 0.0
    assert values["none_detected"] == 1.0 and values["refused_with_valid"] == 0.5
    assert values["kinds"]["unseen"]["held_out"] and values["held_out"][SIM]["top1_valid"]["of"]
    assert "held out" in verdicts.table(values) and values["pools"] == ["cup_1000", "desk_0"]
