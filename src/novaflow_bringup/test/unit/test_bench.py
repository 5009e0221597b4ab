"""What `novaflow bench` counts, keeps and resumes; episodes themselves are not run here."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from novaflow_bringup import cli
from novaflow_bringup.commands import bench
from novaflow_bringup.core import bench_plot, episodes
from novaflow_bringup.core.statistics import paired_difference, wilson
from novaflow_core.errors import PlatformError


def row(seed: int = 1000, task: str = "cup", **values: Any) -> episodes.Row:
    told: dict[str, Any] = {
        "outcome": True, "scored": True, "code": "OK", "cause": "", "reason": "", "total_s": 30.0,
        "stage_s": {"ground": 2.0}, "loop": {}, **values,
    }  # fmt: skip
    return episodes.row_of(told, task=task, seed=seed, wall_s=45.0)


# --- statistics ---
def test_wilson_agrees_with_published_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857, table I: 81 of 263, 15 of 148, 0 of 20.
    for successes, runs, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ):
        assert wilson(successes, runs) == pytest.approx((low, high), abs=5e-5)


def arms(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[bool], ...]:
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return first, second


def test_paired_difference() -> None:
    # By hand: Wilson (0.8654, 0.9890) and (0.6259, 0.8570), phi -24 / sqrt(48 * 2 * 38 * 12).
    found = paired_difference(*arms(36, 12, 2, 0))
    assert found == pytest.approx((0.20, 0.0569, 0.3404), abs=5e-4)
    first, second = arms(36, 12, 2, 0)
    d, low, high = paired_difference(second, first)
    assert (-d, -high, -low) == pytest.approx(found)


def test_pairs_that_agree_tell_more_and_no_pairs_nothing() -> None:
    _, low, high = paired_difference(*arms(20, 6, 0, 20))
    _, loose_low, loose_high = paired_difference(*arms(9, 17, 11, 9))
    assert high - low < loose_high - loose_low
    assert paired_difference([], []) == (0.0, -1.0, 1.0)
    with pytest.raises(ValueError):
        paired_difference([True], [])


# --- counting ---
def test_only_agreement_is_success_and_every_failure_has_a_cause() -> None:
    rows = [
        row(1000),
        row(1001, scored=False),
        row(1002, outcome=False, scored=True, code="TARGET_LOST", cause="execution"),
        row(1003, outcome=False, scored=False, code="GRASP_LOST", cause="grasp"),
        row(1004, scored=None),
    ]
    found = episodes.summary(rows)["cup"]
    assert (found["trials"], found["successes"], found["false_successes"]) == (5, 1, 1)
    assert found["false_failures"] == 1
    assert found["causes"] == {"setup": 1, "video": 0, "tracking": 0, "grasp": 1, "execution": 2}
    assert sum(found["causes"].values()) == found["trials"] - found["successes"]
    assert found["failed_seeds"] == [1001, 1002, 1003, 1004]
    assert "1 of 5" in episodes.table(rows)


def test_rows_pair_by_task_and_seed() -> None:
    mine = [row(1000), row(1001), row(1002)]
    other = [row(1001, outcome=False), row(1002), row(1000, task="insert")]
    found = episodes.comparison(mine, other)
    assert (found["pairs"], found["first"], found["second"]) == (2, 2, 1)


def test_csv_and_plot_show_the_episodes(tmp_path: Path) -> None:
    rows = [row(1000), row(1001, outcome=False, code="GRASP_LOST", cause="grasp")]
    episodes.write_csv(rows, tmp_path / "e.csv")
    lines = list(csv.DictReader((tmp_path / "e.csv").open()))
    assert [line["cause"] for line in lines] == ["", "grasp"]
    picture = bench_plot.draw(episodes.summary(rows), "closed loop")
    bench_plot.write(picture, tmp_path / "p.png")
    read = cv2.imread(str(tmp_path / "p.png"))
    assert read is not None and read.shape == picture.shape
    with pytest.raises(PlatformError):
        bench_plot.write(picture, tmp_path / "none" / "p.png")


# --- keeping ---
def test_a_line_cut_short_is_run_again_and_other_rubbish_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    conditions = episodes.Conditions()
    kept = episodes.EpisodeFile(path)
    for seed in (1000, 1001):
        kept.add(row(seed) | {"conditions": conditions.key(), "commit": "a"})
    path.write_text(path.read_text()[:-20])
    again = episodes.EpisodeFile(path)
    assert again.find("cup", 1000, conditions, "a") is not None
    assert again.find("cup", 1001, conditions, "a") is None
    assert again.find("cup", 1000, conditions, "b") is None
    assert again.find("cup", 1000, episodes.Conditions(open_loop=True), "a") is None
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(PlatformError, match="line 1"):
        episodes.EpisodeFile(path)


# --- the command ---
@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the cell by one that succeeds at even seeds; returns what was launched."""
    launched: list[dict[str, Any]] = []

    def fake(goal: Any, arguments: dict[str, Any], folder: Path, _stop: Any, **_: Any) -> Any:
        launched.append({**arguments, "spoiled": goal.spoiled, "instruction": goal.instruction})
        good = arguments["seed"] % 2 == 0
        return None, {
            "outcome": good, "scored": good, "code": "OK" if good else "GRASP_LOST",
            "cause": "" if good else "grasp", "stage_s": {"ground": 1.0}, "loop": {},
            "total_s": 20.0, "reason": "",
        }  # fmt: skip

    monkeypatch.setattr(bench, "run_in_cell", fake)
    return launched


def run(tmp_path: Path, *words: str) -> int:
    out = ["--out", str(tmp_path / "out"), "--json", str(tmp_path / "b.json")]
    return cli.main(["bench", "--tasks", "cup", *out, *words])


def test_it_counts_and_goes_on_where_it_stopped(
    tmp_path: Path, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--seeds", "1000:1002") == 0
    assert run(tmp_path, "--seeds", "1000:1003") == 0
    assert [call["seed"] for call in asked] == [1000, 1001, 1002]
    assert {call["selection"] for call in asked} == {"critic"}
    assert asked[0]["spoiled"] == 4 and asked[0]["closed_loop"] is True
    found = json.loads((tmp_path / "b.json").read_text())["tasks"]["cup"]
    assert (found["trials"], found["successes"], found["false_successes"]) == (3, 2, 0)
    assert found["causes"]["grasp"] == 1
    assert (tmp_path / "out" / "success.png").is_file()
    assert "2 of 3" in capsys.readouterr().out


def test_conditions_reach_the_launch_file_and_arms_compare(
    tmp_path: Path, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--seeds", "1000:1002", "--disturb", "slip") == 0
    arm = ["--open-loop", "--no-judge", "--disturb", "slip", "--against", str(tmp_path / "out")]
    other = ["--out", str(tmp_path / "other"), "--json", str(tmp_path / "o.json")]
    assert cli.main(["bench", "--tasks", "cup", "--seeds", "1000:1002", *arm, *other]) == 0
    last = asked[-1]
    assert last["closed_loop"] is False and last["selection"] == "first"
    assert last["disturb"] == "slip"
    assert "paired over 2 episodes: 1 against 1" in capsys.readouterr().out
    assert json.loads((tmp_path / "o.json").read_text())["paired"]["difference"] == 0.0


def test_interrupted_is_130_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(bench.Interrupts, "stop", lambda _self: len(asked) > 1)
    assert run(tmp_path, "--seeds", "1000:1004") == 130
    assert len((tmp_path / "out" / "episodes.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("words", [["--seeds", "3:3"], ["--seeds", "a"], ["--disturb", "quake"]])
def test_wrong_usage_is_exit_2(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run(tmp_path, *words)
    assert left.value.code == 2


@pytest.mark.parametrize("words", [["--spoiled", "9"], ["--against", "/nowhere"]])
def test_what_cannot_be_is_refused_before_anything_runs(
    tmp_path: Path, words: list[str], asked: list[dict[str, Any]]
) -> None:
    assert run(tmp_path, *words) != 0
    assert not asked
