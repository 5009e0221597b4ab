"""One recorded RGB-D view in, candidate flows and the choice out: no robot, nothing moves."""

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
    DeclareLaunchArgument("rgbd", description="folder of the view: colour, depth, camera"),
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
    DeclareLaunchArgument("candidates", default_value="8", description="imagined per goal"),
    DeclareLaunchArgument(
        "config",
        default_value=PathJoinSubstitution([SHARE, "config", "imagine.yaml"]),
        description="parameter file",
    ),
    DeclareLaunchArgument(
        "overrides",
        default_value=LaunchConfiguration("config"),
        description="a second parameter file, over `config`; the other arguments stand over both",
    ),
]


def generate_launch_description():
    """Describe the file camera and the part of the graph that imagines."""
    camera = Node(
        package="novaflow_perception",
        executable="file_camera_node",
        name="file_camera_node",
        parameters=[
            LaunchConfiguration("config"),
            LaunchConfiguration("overrides"),
            {"directory": ParameterValue(LaunchConfiguration("rgbd"), value_type=str)},
        ],
        output="screen",
        respawn=True,
        respawn_delay=1.0,
    )
    forwarded = [
        "config", "overrides", "grounding", "video", "tracks", "candidates_on", "prompt",
        "selection", "candidates",
    ]  # fmt: skip
    pipeline = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PIPELINE),
        launch_arguments=[
            *((name, LaunchConfiguration(name)) for name in forwarded),
            # Nothing knows where the camera stands, so its own frame is the fixed one.
            ("planning_frame", "camera_color_optical_frame"),
        ],
    )
    return LaunchDescription([*ARGUMENTS, camera, GroupAction([pipeline])])
