"""A node's process."""
