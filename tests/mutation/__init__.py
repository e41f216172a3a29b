"""Mutants: small wrong changes to the product, each of which should make a unit test fail.

`make mutants` (`python -m tests.mutation`) draws a sample of the mutants of `node/raft`,
`node/storage` and `node/server`, and runs for each the unit tests of the same folder until one
fails. A mutant is *killed* by a test that fails, *timed out* when the tests take far more CPU time
than usual, and has *survived* when all of them pass. Then either a test is missing, or the mutant
behaves like the original.

Survivors of the second kind, and those that are accepted, stand in `tests/mutants_known.txt`, each
with the reason. The exit status is 1 if others survive.

    edits.py     which changes are made, and to what
    judging.py   one mutant and its tests, in a process of their own
    __main__.py  many: the sample, the results so far, the table
"""
