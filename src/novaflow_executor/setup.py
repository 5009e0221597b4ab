"""Installs novaflow_executor."""

from glob import glob

from setuptools import find_packages, setup

NAME = "novaflow_executor"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/config", sorted(glob("config/*.yaml"))),
    ],
    install_requires=["setuptools", "numpy"],
    zip_safe=False,
    license="Apache-2.0",
    description="Grasps, trajectory optimisation, validation, drivers and the guard.",
    entry_points={
        "console_scripts": [
            f"executor_node = {NAME}.ros.executor_node:main",
            f"guard_node = {NAME}.ros.guard_node:main",
        ],
        "novaflow.approach": [
            f"moveit = {NAME}.backends.moveit:MoveIt",
            f"rrt_connect = {NAME}.backends.rrt_connect:make_rrt_connect",
        ],
        "novaflow.grasps": [
            f"antipodal = {NAME}.backends.antipodal:make_antipodal",
            f"graspgen = {NAME}.backends.graspgen:make_graspgen",
        ],
        "novaflow.motion": [
            f"banded_lm = {NAME}.backends.banded_lm:BandedLm",
            f"pyroki = {NAME}.backends.pyroki:Pyroki",
            f"trajopt = {NAME}.backends.trajopt:Trajopt",
        ],
        "novaflow.robot": [f"ros2_control = {NAME}.backends.ros2_control:Ros2ControlDriver"],
    },
)
