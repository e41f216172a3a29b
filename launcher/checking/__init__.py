"""Is a history linearizable? The checker knows nothing of Raft, nor of how the history was made.

A history is the list of operations that clients began, with what they saw and when. The checker
looks for one order of them that explains everything that was seen. It reads a clock if its time is
limited, and is pure in all else.

    history   the operations of a history
    checker   gives the answer: linearizable, not linearizable, or unknown
    steps     the operations on one key: what value each needs, and what value it leaves
    sweep     searches for an order of the operations on one key, from the first to the last
    window    finds the fewest operations that no order explains, as the proof of a failure
    budget    limits the memory and the time, or the steps, of a search

It may import the machines of `node`, for the text of values in a proof, and nothing else.
"""
