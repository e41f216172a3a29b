"""What the records of a run show: who sent what to whom, and why something happened.

The rooms:

    messages/   the records of messages that nodes write (`node/tap/`), as events
    why/        the causes of an event, as a tree of sentences
"""
