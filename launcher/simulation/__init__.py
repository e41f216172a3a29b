"""Clusters without processes: the same cores and servers, in one thread, by hand or by seed."""
