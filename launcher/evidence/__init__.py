"""Evidence: what nodes have left behind of what happened, and what it says.

messages/    the records of messages that nodes write (`node/tap/`), as events
"""
