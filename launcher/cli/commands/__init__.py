"""The table of commands, by topic."""
