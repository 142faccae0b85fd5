"""Programs that a model wrote, run where they can touch nothing: in bubblewrap, as nobody, within limits.

:mod:`command` says what a program sees, :mod:`seccomp` which system calls it has, :mod:`languages` how each language
runs, :mod:`run` holds the limits and ends what passes them, and :mod:`probe` says whether all that works here.
"""
