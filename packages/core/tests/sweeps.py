"""What a sweep of toy runs, made in the folder ``s``, has in its table."""

import json


def table(workdir):
    return json.loads((workdir / "s" / "sweep.json").read_text())


def statuses(workdir):
    return [row["status"] for row in table(workdir)["runs"]]
