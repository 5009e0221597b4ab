"""Arguments, exit codes, comparison of a replay, free domains, and the image formats of bags."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from novaflow_bringup import cli
from novaflow_bringup.commands.exit_codes import exit_code
from novaflow_bringup.commands.progress import candidate_table
from novaflow_bringup.core import image_codec
from novaflow_bringup.core.cell_tasks import INSTRUCTIONS
from novaflow_bringup.core.comparison import compare, flow_distance
from novaflow_bringup.core.domains import BASE_PORT, DOMAIN_GAIN, UNICAST_OFFSET, free_domains
from novaflow_bringup.core.readiness import wait_until_ready
from novaflow_bringup.core.recording import Past, TopicRules
from novaflow_bringup.core.run_record import Goal, RunRecord
from novaflow_core.errors import Code, NovaflowError, PlatformError, ShapeError


@pytest.mark.parametrize(
    "command", ["demo", "do", "up", "imagine", "replay", "bench", "bench-judge"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0 and "exit codes" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dance"],
        ["do"],
        ["demo", "--task", "tea"],
        ["demo", "--candidates", "0"],
        ["demo", "--spoiled", "-1"],
        ["demo", "--set", "width"],
        ["imagine", "lift it"],
    ],
)
def test_wrong_usage_is_exit_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 2


def test_a_view_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert cli.main(["imagine", "--rgbd", str(tmp_path / "none"), "lift it"]) == 2


def test_an_unknown_cell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "kitchen"]) == 2
    assert "franka" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.TARGET_NOT_FOUND, 1),
        (Code.GRASP_LOST, 1),
        (Code.CANCELLED, 130),
        (Code.PROCESS_LOST, 3),
    ],
)
def test_exit_codes_follow_the_code(code: Code, status: int) -> None:
    record = RunRecord(Goal("lift it"))
    record.fail(NovaflowError(code, ""))
    assert exit_code(record) == status


def test_success_and_a_plan_are_exit_0() -> None:
    assert exit_code(RunRecord(Goal("lift it"), success=True)) == 0
    assert exit_code(RunRecord(Goal("lift it", plan_only=True), candidate_id="c1")) == 0
    assert exit_code(RunRecord(Goal("lift it"))) == 1


def test_the_candidate_table_marks_the_choice() -> None:
    gates = [{"name": "relation", "passed": False}]
    values = {
        "chosen": "c2",
        "candidates": [
            {"id": "c1", "code": "OK", "score": 0.0, "valid": False, "gates": gates},
            {"id": "c2", "code": "OK", "score": 0.8, "valid": True, "gates": []},
            {"id": "c3", "code": "LIFT_DIVERGED"},
        ],
    }
    rows = candidate_table(values)
    assert "rejected: relation" in rows[1] and rows[2].startswith("*") and "DIVERGED" in rows[3]


def _outcome(chosen: str, code: str = "OK", stage: str = "") -> dict:
    return {"chosen": chosen, "code": code, "failed_stage": stage}


def test_a_replay_is_judged_by_the_choice_alone(tmp_path: Path) -> None:
    slipped = _outcome("c3", "GRASP_LOST", "execute")
    assert compare(slipped, _outcome("c3"), tmp_path, tmp_path).same
    assert not compare(slipped, _outcome("c4"), tmp_path, tmp_path).same
    refused = _outcome("", "TARGET_NOT_FOUND", "ground")
    assert compare(refused, refused, tmp_path, tmp_path).same
    assert not compare(_outcome("c3"), refused, tmp_path, tmp_path).same


def test_the_distance_of_flows_is_that_of_their_medians() -> None:
    first = np.zeros((41, 9, 3), np.float32)
    second = np.zeros((41, 4, 3), np.float32)
    second[-1, :, 2] = 0.01
    second[0, 0] = np.nan
    assert flow_distance(first, second) == pytest.approx(0.01)


def test_domains_differ_and_are_not_given_twice() -> None:
    with free_domains(2) as first, free_domains(3) as second:
        assert len({*first, *second}) == 5


def test_a_domain_that_somebody_listens_on_is_not_free() -> None:
    with free_domains(1) as (number,):
        pass
    port = BASE_PORT + DOMAIN_GAIN * number + UNICAST_OFFSET
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", port))
        for _ in range(3):
            with free_domains(30) as numbers:
                assert number not in numbers


def test_waiting_names_what_is_missing() -> None:
    told: list[list[str]] = []
    with pytest.raises(PlatformError, match="guard_node") as caught:
        wait_until_ready(lambda: ["guard_node (never heard)"], 0.1, on_wait=told.append)
    assert caught.value.code == Code.UNAVAILABLE and len(told) == 1


def test_waiting_can_be_cancelled() -> None:
    with pytest.raises(PlatformError) as caught:
        wait_until_ready(lambda: ["x"], 10.0, should_stop=lambda: True)
    assert caught.value.code == Code.CANCELLED


def test_the_bag_takes_cameras_and_own_topics_and_nothing_else() -> None:
    rules = TopicRules(("/tf",), ("/camera/camera",))
    color = "/camera/camera/color/image_raw"
    depth = "/camera/camera/aligned_depth_to_color/image_raw"
    assert all(map(rules.wanted, ("/tf", "/novaflow/stage", color, depth)))
    assert not any(
        map(
            rules.wanted,
            (
                "/rosout",
                "/scorer/truth",
                f"{color}/theora",
                "/other/tf",
                "/novaflow/x/_action/feedback",
            ),
        )
    )
    assert rules.compressed[depth] == f"{depth}/compressedDepth"


def test_a_bag_begins_with_the_last_second_of_the_cameras_and_what_was_latched() -> None:
    past = Past(1.0)
    for i in range(30):
        past.keep("/camera", True, i * 10**8, bytes([i]))
    past.keep("/tf_static", False, 0, b"a")
    past.keep("/tf_static", False, 0, b"b")
    past.keep("/novaflow/goal", False, 0, b"old")
    past.keep("/novaflow/goal", False, 0, b"new")
    past.keep("/novaflow/candidates", False, 0, b"of the goal before")
    told = list(past.tell(99))
    assert [data[0] for topic, _, data in told if topic == "/camera"] == list(range(19, 30))
    latched = [(topic, data) for topic, _, data in told if topic != "/camera"]
    assert latched == [("/tf_static", b"a"), ("/tf_static", b"b"), ("/novaflow/goal", b"new")]
    assert not [1 for topic, _, _ in past.tell(99) if topic == "/camera"]


def test_depth_survives_exactly_and_colour_nearly() -> None:
    rng = np.random.default_rng(7)
    depth = rng.integers(0, 65535, (48, 64)).astype(np.uint16)
    data = image_codec.encode_depth(depth)
    assert data[12:16] == b"\x89PNG"
    np.testing.assert_array_equal(image_codec.decode_depth(data), depth)
    color = np.zeros((48, 64, 3), np.uint8)
    color[..., 0] = 200
    back = image_codec.decode_color(image_codec.encode_color(color))
    assert np.abs(back.astype(int) - color).max() < 6


def test_what_is_no_image_is_an_error() -> None:
    for decode in (image_codec.decode_color, image_codec.decode_depth):
        with pytest.raises(ShapeError):
            decode(b"0123456789abcdefghij")


@pytest.mark.parametrize("task", cli.TASKS)
def test_every_task_of_the_cell_can_be_shown_counted_and_said(task: str) -> None:
    assert cli.parser().parse_args(["demo", "--task", task]).task == task
    assert cli.parser().parse_args(["bench", "--tasks", task]).tasks == [task]
    assert task in cli.parser().parse_args(["bench"]).tasks
    assert INSTRUCTIONS[task]
