"""NovaFlow on a Franka FR3 with a Robotiq 2F-85 and a RealSense camera, simulated or real.

`sim:=true` starts the simulated cell in place of the drivers. `sim:=false` starts the drivers, and
the executor refuses motion with MOTION_NOT_APPROVED: nothing moves a real arm without approval.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import (
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    NotSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("novaflow_bringup"), "config", "franka.yaml"])
FR3_CONTROLLERS = PathJoinSubstitution(
    [FindPackageShare("franka_fr3_moveit_config"), "config", "fr3_ros_controllers.yaml"]
)
SIM = LaunchConfiguration("sim")
BOOLEAN = ["true", "false"]
ARGUMENTS = [
    DeclareLaunchArgument(
        "sim", default_value="true", choices=BOOLEAN, description="simulate arm, gripper and camera"
    ),
    DeclareLaunchArgument(
        "camera",
        default_value="realsense",
        choices=["realsense", "none"],
        description="camera driver to start with sim:=false; none: it is started elsewhere",
    ),
    DeclareLaunchArgument(
        "gripper",
        default_value="robotiq",
        choices=["robotiq", "none"],
        description="gripper driver to start with sim:=false; none: it is started elsewhere",
    ),
    DeclareLaunchArgument("robot_ip", default_value="", description="of the real arm"),
    DeclareLaunchArgument("config", default_value=CONFIG, description="parameter file"),
    DeclareLaunchArgument(
        "overrides",
        default_value=LaunchConfiguration("config"),
        description="a second parameter file, over `config`; the other arguments stand over both",
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
        default_value=IfElseSubstitution(SIM, "critic", "fail"),
        choices=["critic", "fail"],
        description="when the model that judges fails: the critic's choice, or none; default: none "
        "on a real arm",
    ),
    DeclareLaunchArgument("grasps", default_value="antipodal", description="grasp backend"),
    DeclareLaunchArgument("motion", default_value="trajopt", description="motion backend"),
    DeclareLaunchArgument("approach", default_value="rrt_connect", description="approach backend"),
    DeclareLaunchArgument(
        "closed_loop",
        default_value="true",
        choices=BOOLEAN,
        description="look and correct while the arm moves; false: carry the plan out blindly",
    ),
    DeclareLaunchArgument("candidates", default_value="8", description="imagined per goal"),
    DeclareLaunchArgument(
        "record", default_value="true", choices=BOOLEAN, description="write a bag of each run"
    ),
    DeclareLaunchArgument(
        "approve",
        default_value=NotSubstitution(SIM),
        description="a person approves each plan before it moves; default: on a real arm",
    ),
    DeclareLaunchArgument(
        "task",
        default_value="cup",
        choices=["cup", "insert", "mug", "drawer", "plant"],
        description="what stands on the simulated table",
    ),
    DeclareLaunchArgument("seed", default_value="1000", description="of the simulated placements"),
    DeclareLaunchArgument(
        "disturb",
        default_value="none",
        choices=["none", "push", "slip", "obstacle"],
        description="what goes wrong on purpose in the simulated cell",
    ),
    DeclareLaunchArgument("width", default_value="1280", description="of the images [px]"),
    DeclareLaunchArgument("height", default_value="720", description="of the images [px]"),
    DeclareLaunchArgument("rate", default_value="10.0", description="of the simulated camera [Hz]"),
]


def typed(name, value_type):
    """Value of an argument with the type that the node's parameter has."""
    return ParameterValue(LaunchConfiguration(name), value_type=value_type)


def share_file(package, *parts):
    """A launch file of another package, by name."""
    return PythonLaunchDescriptionSource(
        PathJoinSubstitution([FindPackageShare(package), "launch", *parts])
    )


def product_node(package, executable, *, respawn=True, prefix=None, **parameters):
    """One self-activating node that is started again when it dies."""
    return Node(
        package=package,
        executable=executable,
        name=executable,
        parameters=[
            LaunchConfiguration("config"),
            LaunchConfiguration("overrides"),
            {"use_sim_time": ParameterValue(SIM, value_type=bool), **parameters},
        ],
        output="screen",
        prefix=prefix,
        respawn=respawn,
        respawn_delay=1.0,
    )


def pipeline():
    """Perception, generation, selection and task; the group keeps its arguments to itself."""
    forwarded = [
        "config", "overrides", "grounding", "video", "video_path", "tracks", "candidates_on",
        "prompt", "selection", "on_vlm_failure", "candidates", "record", "approve",
    ]  # fmt: skip
    return GroupAction(
        [
            IncludeLaunchDescription(
                share_file("novaflow_bringup", "parts", "pipeline.launch.py"),
                launch_arguments=[
                    *((name, LaunchConfiguration(name)) for name in forwarded),
                    ("use_sim_time", SIM),
                    ("planning_frame", "fr3_link0"),
                ],
            )
        ]
    )


def simulated_cell():
    """Arm, gripper, camera and table in one process that speaks as the drivers do."""
    return Node(
        package="novaflow_sim",
        executable="cell_node",
        name="cell_node",
        parameters=[
            LaunchConfiguration("config"),
            LaunchConfiguration("overrides"),
            {
                "task": typed("task", str),
                "seed": typed("seed", int),
                "disturb": typed("disturb", str),
                "image_width": typed("width", int),
                "image_height": typed("height", int),
                "image_rate_hz": typed("rate", float),
            },
        ],
        output="screen",
        condition=IfCondition(SIM),
    )


def drivers():
    """The real camera, arm and gripper, each by the launch file of its own package."""
    size = [LaunchConfiguration("width"), ",", LaunchConfiguration("height"), ",30"]
    camera = IncludeLaunchDescription(
        share_file("realsense2_camera", "rs_launch.py"),
        launch_arguments=[
            ("align_depth.enable", "true"),
            ("enable_sync", "true"),
            ("rgb_camera.color_profile", size),
        ],
        condition=IfCondition(EqualsSubstitution(LaunchConfiguration("camera"), "realsense")),
    )
    arm = IncludeLaunchDescription(
        share_file("franka_bringup", "franka.launch.py"),
        launch_arguments=[
            ("robot_ip", LaunchConfiguration("robot_ip")),
            ("robot_type", "fr3"),
            ("load_gripper", "false"),
        ],
    )
    arm_controller = Node(
        package="controller_manager",
        executable="spawner",
        arguments=["fr3_arm_controller", "--param-file", FR3_CONTROLLERS],
        output="screen",
    )
    gripper = IncludeLaunchDescription(
        share_file("robotiq_description", "robotiq_control.launch.py"),
        launch_arguments=[("launch_rviz", "false")],
        condition=IfCondition(EqualsSubstitution(LaunchConfiguration("gripper"), "robotiq")),
    )
    # One group each: an include would otherwise leave its arguments to the next.
    return [
        GroupAction([part], condition=UnlessCondition(SIM))
        for part in (camera, arm, arm_controller, gripper)
    ]


def generate_launch_description():
    """Describe the cell, the drivers or their simulation, and every node."""
    return LaunchDescription(
        [
            *ARGUMENTS,
            simulated_cell(),
            *drivers(),
            pipeline(),
            product_node("novaflow_perception", "tracker_node"),
            product_node(
                "novaflow_executor",
                "executor_node",
                grasps=typed("grasps", str),
                motion=typed("motion", str),
                approach=typed("approach", str),
                closed_loop=typed("closed_loop", bool),
                allow_motion=ParameterValue(SIM, value_type=bool),
                require_approval=typed("approve", bool),
            ),
            product_node("novaflow_executor", "guard_node"),
            GroupAction(
                # Encoding images can wait; watching and moving cannot.
                [product_node("novaflow_bringup", "recorder_node", prefix="nice -n 10")],
                condition=IfCondition(LaunchConfiguration("record")),
            ),
        ]
    )
