"""The folders of a cluster: what is on record there, and whose they are."""
