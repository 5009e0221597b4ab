"""What every node stands on: conversions, the lifecycle node, actions, clients, transforms."""
