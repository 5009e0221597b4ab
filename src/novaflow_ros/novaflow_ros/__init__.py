"""What every NovaFlow node stands on: conversions, the lifecycle node, actions, clients, transforms."""
