"""A stand-in for the part of `launch` and `launch_ros` that NovaFlow's launch files use.

The launch files are written against the real API. Where a ROS 2 installation offers it, it is used
(`launcher.main` execs `ros2 launch`); on a bare machine this package registers modules of the same
names and runs the same files. What it does not know it refuses by name: it never guesses.
"""
