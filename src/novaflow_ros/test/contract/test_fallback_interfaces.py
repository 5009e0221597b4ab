"""The fallback tf2_msgs and control_msgs are the real ones on the wire: type hashes are equal.

References: for tf2_msgs the type store of `rosbags` (ROS 2 Kilted); for control_msgs, which that
store lacks, hashes that `rosbags` computed from the definitions of control_msgs 6.8.0.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory
from rosbags.typesys import Stores, get_typestore

CONTROL_MSGS_6_8 = {
    "msg/JointTolerance": "c254f9cece0f3b733017b6990fd46d1326e25242d6b8844398c97d9a88e7d648",
    "msg/JointComponentTolerance": (
        "739ea7566931944d33830fa10f1bf5e7a7fbdc3172bce7a7eaac642bd6e3ffa4"
    ),
    "msg/GripperCommand": "57eb8f326c9889ca8bb34ead82cc94cc09bf6bc5c3b6c09546dca3a00b589890",
    "action/FollowJointTrajectory_Goal": (
        "8a9060704b269608f5a340934cc26e66869dd14bdac29e2e7fd9ec8b9882d205"
    ),
    "action/FollowJointTrajectory_Result": (
        "8002e99ed2c14c6faa522f2a93c26d744c5982f254f9e98ff9c6f19789bdb220"
    ),
    "action/FollowJointTrajectory_Feedback": (
        "0bb018d181bdc6384dd75365480967bd1d6eaee4ef3dd597c64cd0b8bdc10867"
    ),
    "action/GripperCommand_Goal": (
        "607d9f41eb241e1922e90f02125e87ae6bfb78f7f64a71dc92630263d01f8b6d"
    ),
    "action/GripperCommand_Result": (
        "bf512d5aa6a0e4fe4d8be22b2ec4a1973c3d250fa1f65e47450322c25c45c0a0"
    ),
    "action/GripperCommand_Feedback": (
        "8f7c520077bab528bb9161ee3b83c81eee1f8aecadb8922ce82c79d667a819c4"
    ),
    "action/ParallelGripperCommand_Goal": (
        "412807b6b6acf2bf406fb0cf3b5c8f84286cd4e4d425734155aa1ff41caa0063"
    ),
    "action/ParallelGripperCommand_Result": (
        "51acbcd62aa44097d3877c506eab1146856fa8768628ffbe102c1699152d2afa"
    ),
    "action/ParallelGripperCommand_Feedback": (
        "ed6f7c4e5aea7f960432663c0e762e001a0a1f5cc0130d126e60041412d0543c"
    ),
}


def share_of_fallback(package: str) -> Path:
    """Share folder of a package; the test is skipped where the real one is installed."""
    share = Path(get_package_share_directory(package))
    if "Wire-compatible subset" not in (share / "package.xml").read_text():
        pytest.skip(f"the real {package} is installed; there is no fallback to compare")
    return share


def built_hashes(package: str) -> dict[str, str]:
    """Hashes (RIHS01) that rosidl wrote for a package and for all that it is made of."""
    files = share_of_fallback(package).glob("*/*.json")
    lists = [json.loads(file.read_text())["type_hashes"] for file in files]
    return {entry["type_name"]: entry["hash_string"] for entries in lists for entry in entries}


@pytest.mark.parametrize("package", ["tf2_msgs", "control_msgs"])
def test_every_type_that_rosbags_knows_has_its_hash(package: str) -> None:
    store = get_typestore(Stores.ROS2_KILTED)
    built = built_hashes(package)
    # rosbags hashes a char array as another type; it occurs in service_msgs, which is not ours.
    known = {n: h for n, h in built.items() if n in store.types and "service_msgs" not in n}
    assert "std_msgs/msg/Header" in known
    assert known == {name: store.hash_rihs01(name) for name in known}
    if package == "tf2_msgs":
        assert "tf2_msgs/msg/TFMessage" in known


@pytest.mark.parametrize("name", CONTROL_MSGS_6_8)
def test_control_msgs_are_those_of_release_6_8(name: str) -> None:
    assert built_hashes("control_msgs")[f"control_msgs/{name}"] == (
        f"RIHS01_{CONTROL_MSGS_6_8[name]}"
    )
