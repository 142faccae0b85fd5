"""What a run would do and cost, without doing it: ``python -m core.plan``.

``command`` reads the command line, ``stages`` plans a whole run, ``data`` and ``model`` its two halves, on the numbers
of ``devices`` and ``scaling``. ``grid`` draws shapes of one parameter budget, ``correlation`` says what their scores
show.
"""
