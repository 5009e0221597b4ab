"""What ./novaflow does before anything else is installed. Python's standard library only."""
