"""What a learner asks: what a word means, and why a node does not lead. Pure, but for one file.

glossary     the words, out of glossary.txt, which is also docs/GLOSSARY.md
topics       all that `launcher explain` knows: words, columns of `ps`, events, exit statuses
why          why a node leads, or does not, in sentences
standing     what looks alarming in `ps` and is not, in a sentence
"""
