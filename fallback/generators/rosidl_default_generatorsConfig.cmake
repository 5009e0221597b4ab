# Stands in for rosidl_default_generators where ROS 2 comes from PyPI: rclpy needs the generated C and Python code alone.
# Leaving out C++ makes interface packages build in about half the time.
find_package(rosidl_core_generators REQUIRED)
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX "_cpp:")
