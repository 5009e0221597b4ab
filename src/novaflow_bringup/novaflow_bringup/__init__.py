"""What turns the nodes into a system: task node, recorder, replay, command line, launching."""
