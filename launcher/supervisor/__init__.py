"""The process that owns a cluster's processes."""
