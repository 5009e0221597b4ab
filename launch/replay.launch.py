"""A recorded run's sensors and goal, fed back into the graph: no camera, no robot."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("novaflow_bringup")
PIPELINE = PathJoinSubstitution([SHARE, "launch", "parts", "pipeline.launch.py"])
ARGUMENTS = [
    DeclareLaunchArgument("run", description="folder of the run"),
    DeclareLaunchArgument(
        "send_goal",
        default_value="true",
        choices=["true", "false"],
        description="send the recorded goal, planning only, and compare the choice",
    ),
    DeclareLaunchArgument(
        "planning_frame", default_value="fr3_link0", description="fixed frame of all 3D data"
    ),
    DeclareLaunchArgument("grounding", default_value="tabletop", description="grounding backend"),
    DeclareLaunchArgument("video", default_value="storyboard", description="video backend"),
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
        "config",
        default_value=PathJoinSubstitution([SHARE, "config", "franka.yaml"]),
        description="parameter file",
    ),
    DeclareLaunchArgument(
        "overrides",
        default_value=LaunchConfiguration("config"),
        description="a second parameter file, over `config`; the other arguments stand over both",
    ),
]


def generate_launch_description():
    """Describe the replay and the part of the graph that imagines."""
    replay = Node(
        package="novaflow_bringup",
        executable="replay_node",
        name="replay_node",
        parameters=[
            LaunchConfiguration("config"),
            LaunchConfiguration("overrides"),
            {
                "run": ParameterValue(LaunchConfiguration("run"), value_type=str),
                "send_goal": ParameterValue(LaunchConfiguration("send_goal"), value_type=bool),
            },
        ],
        output="screen",
    )
    forwarded = [
        "config", "overrides", "grounding", "video", "tracks", "candidates_on", "prompt",
        "selection", "planning_frame",
    ]  # fmt: skip
    pipeline = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PIPELINE),
        launch_arguments=[
            *((name, LaunchConfiguration(name)) for name in forwarded),
            # The bag's clock drives the graph, as it did when the run was recorded.
            ("use_sim_time", "true"),
        ],
    )
    return LaunchDescription([*ARGUMENTS, replay, GroupAction([pipeline])])
