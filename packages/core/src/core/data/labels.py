"""How the metadata of a document holds a label: what labelling steps write and classifiers read.

A step that labels under the key ``label`` writes

- ``label``: the label, a whole number from 0;
- ``label_scale``: the highest label that the step gives;
- ``label_scorer``: who gave the label, such as ``rules`` or ``llm:<model>@<revision>``.

What else is known of a label has a key that begins with ``label_`` too; a document without the key ``label`` has none.
"""


def scale_key(label: str) -> str:
    """Return the metadata key of the highest label that is given under the key ``label``."""
    return f"{label}_scale"


def scorer_key(label: str) -> str:
    """Return the metadata key of who gave the label under the key ``label``."""
    return f"{label}_scorer"
