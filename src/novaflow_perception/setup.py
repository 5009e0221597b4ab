"""Installs novaflow_perception."""

from setuptools import find_packages, setup

NAME = "novaflow_perception"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["setuptools", "numpy", "scipy", "opencv-python-headless"],
    zip_safe=False,
    license="Apache-2.0",
    description="Capture, instruction parsing, grounding, live tracking and scene geometry.",
    entry_points={
        "console_scripts": [
            f"perception_node = {NAME}.ros.perception_node:main",
            f"file_camera_node = {NAME}.ros.file_camera_node:main",
            f"tracker_node = {NAME}.ros.tracker_node:main",
        ],
        "novaflow.grounding": [
            f"tabletop = {NAME}.backends.tabletop:make_tabletop",
            f"grounded_sam2 = {NAME}.backends.grounded_sam2:make_grounded_sam2",
        ],
        "novaflow.masks": [f"sam2 = {NAME}.backends.sam2:make_sam2_masks"],
    },
)
