"""Installs novaflow_sim."""

from setuptools import find_packages, setup

NAME = "novaflow_sim"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["setuptools", "numpy"],
    zip_safe=False,
    license="Apache-2.0",
    description="MuJoCo cells that speak what real drivers speak, and the scorer.",
    entry_points={"console_scripts": ["cell_node = novaflow_sim.ros.cell_node:main"]},
)
