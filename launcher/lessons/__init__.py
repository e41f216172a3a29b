"""The ten lessons: Raft in plain words, played on real processes, each with checks.

A lesson is one text, `texts/NN-name.md`. It is a page to read (`docs/LEARN.md` is made of all of
them) and a script to play (`launcher lesson 3`): the player types the lesson's commands, shows what
they print, and checks what the lesson claims.

    lesson.py     the parts of a text: prose, commands with their claims, questions
    claims.py     what a lesson can claim of a cluster, and how it is checked
    player.py     plays a lesson in a folder of its own
    page.py       the page of all lessons, with real output

It may import the API (`launcher.cluster`, its status and errors) and nothing of the command line:
commands are run as a user runs them, in processes of their own.
"""
