"""Models, services and devices behind the Protocols of `core`."""
