"""What every set-up shares: perception, generation, selection and the task.

Included by franka, imagine and replay. The nodes configure and activate themselves; launch starts
them again when they die.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("novaflow_bringup"), "config", "franka.yaml"])
ARGUMENTS = [
    DeclareLaunchArgument("config", default_value=CONFIG, description="parameter file"),
    DeclareLaunchArgument(
        "overrides",
        default_value=LaunchConfiguration("config"),
        description="a second parameter file, over `config`; the other arguments stand over both",
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="follow /clock"),
    DeclareLaunchArgument(
        "planning_frame", default_value="fr3_link0", description="fixed frame of all 3D data"
    ),
    DeclareLaunchArgument("grounding", default_value="tabletop", description="grounding backend"),
    DeclareLaunchArgument("video", default_value="storyboard", description="video backend"),
    DeclareLaunchArgument(
        "video_path", default_value="", description="for video:=file: a video, or a folder of them"
    ),
    DeclareLaunchArgument("tracks", default_value="klt", description="lifting backend"),
    DeclareLaunchArgument(
        "candidates_on",
        default_value="process",
        choices=["process", "ray"],
        description="imagine in threads of the node, or as tasks of Ray",
    ),
    DeclareLaunchArgument("prompt", default_value="template", description="prompt backend"),
    DeclareLaunchArgument("selection", default_value="critic", description="selection backend"),
    DeclareLaunchArgument(
        "on_vlm_failure",
        default_value="critic",
        choices=["critic", "fail"],
        description="when the model that judges fails: the critic's choice, or none",
    ),
    DeclareLaunchArgument("candidates", default_value="8", description="imagined per goal"),
    DeclareLaunchArgument("record", default_value="false", description="write a bag of each run"),
    DeclareLaunchArgument(
        "approve", default_value="false", description="a person approves each plan before it moves"
    ),
]


def text(name):
    """Value of an argument as a string, whatever it looks like."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def number(name):
    """Value of an argument as an integer."""
    return ParameterValue(LaunchConfiguration(name), value_type=int)


def flag(name):
    """Value of an argument as a boolean."""
    return ParameterValue(LaunchConfiguration(name), value_type=bool)


def product_node(package, executable, **parameters):
    """One self-activating node that is started again when it dies."""
    common = {"use_sim_time": flag("use_sim_time"), "planning_frame": text("planning_frame")}
    return Node(
        package=package,
        executable=executable,
        name=executable,
        parameters=[
            LaunchConfiguration("config"),
            LaunchConfiguration("overrides"),
            {**common, **parameters},
        ],
        output="screen",
        respawn=True,
        respawn_delay=1.0,
    )


def generate_launch_description():
    """Describe the four nodes."""
    return LaunchDescription(
        [
            *ARGUMENTS,
            product_node("novaflow_perception", "perception_node", grounding=text("grounding")),
            product_node(
                "novaflow_flowgen",
                "flowgen_node",
                video=text("video"),
                video_path=text("video_path"),
                tracks=text("tracks"),
                candidates_on=text("candidates_on"),
                prompt=text("prompt"),
            ),
            product_node(
                "novaflow_flowgen",
                "selector_node",
                selection=text("selection"),
                on_vlm_failure=text("on_vlm_failure"),
            ),
            product_node(
                "novaflow_bringup",
                "task_node",
                candidates=number("candidates"),
                record=flag("record"),
                approve=flag("approve"),
            ),
        ]
    )
