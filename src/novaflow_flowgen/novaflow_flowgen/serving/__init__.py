"""Models that need an environment of their own: the contract, a client and a reference server."""
