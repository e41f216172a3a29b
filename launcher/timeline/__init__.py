"""Every node's events, in one order."""
