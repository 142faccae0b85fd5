"""The data stage: recipes of steps, run by DataTrove, with every document accounted for."""
