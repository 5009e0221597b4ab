"""A small stand-in for the part of `launch` and `launch_ros` that our launch files use."""
