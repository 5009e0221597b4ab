"""Installs novaflow_bench."""

from setuptools import find_packages, setup

NAME = "novaflow_bench"

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
    description="Harnesses that measure the product from outside: labelled videos for its judge.",
)
