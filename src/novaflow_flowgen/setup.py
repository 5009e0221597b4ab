"""Installs novaflow_flowgen."""

from setuptools import find_packages, setup

NAME = "novaflow_flowgen"

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
    description="Video generation, lifting to object flow, selection of a believable candidate.",
    entry_points={
        "console_scripts": [
            "flowgen_node = novaflow_flowgen.ros.flowgen_node:main",
            "selector_node = novaflow_flowgen.ros.selector_node:main",
        ],
        "novaflow.video": [
            "storyboard = novaflow_flowgen.core.storyboard:make_storyboard",
            "file = novaflow_flowgen.core.video_file:make_video_files",
            "veo = novaflow_flowgen.backends.veo:make_veo",
            "wan = novaflow_flowgen.backends.wan:make_wan",
        ],
        "novaflow.prompt": [
            "template = novaflow_flowgen.core.prompting:make_template",
            "gemini = novaflow_flowgen.backends.gemini:make_gemini_prompt",
            "openai = novaflow_flowgen.backends.openai_compatible:make_openai_prompt",
        ],
        "novaflow.tracks": [
            "klt = novaflow_flowgen.core.lift:make_klt",
            "dis = novaflow_flowgen.core.lift:make_dis",
            "ray_plane = novaflow_flowgen.core.ray_plane:make_ray_plane",
            "tapip3d = novaflow_flowgen.backends.tapip3d:make_tapip3d",
        ],
        "novaflow.depth": [
            "megasam = novaflow_flowgen.backends.model_depth:make_megasam",
            "moge = novaflow_flowgen.backends.model_depth:make_moge",
        ],
        "novaflow.selection": [
            "critic = novaflow_flowgen.core.critic:make_critic",
            "first = novaflow_flowgen.core.first_choice:make_first_choice",
            "gemini = novaflow_flowgen.backends.gemini:make_gemini_judge",
            "openai = novaflow_flowgen.backends.openai_compatible:make_openai_judge",
        ],
    },
)
