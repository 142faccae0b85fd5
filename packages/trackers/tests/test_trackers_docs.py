"""The tracker of docs/tracking.md works as it stands there."""

import json
import re
import sys
from pathlib import Path

from core import discovery, observers
from smallwright_testing.trackers import FIRST, Followed

PAGE = Path(__file__).parents[3] / "docs" / "tracking.md"


def test_the_tracker_of_the_page_writes_what_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (tmp_path / "lines.py").write_text(code)
    try:
        chosen = observers.trackers({"tracker": {"lines": {}}}, discovery.load([tmp_path / "lines.py"]))
    finally:
        sys.modules.pop("lines", None)
    followed = Followed(tmp_path, chosen["lines"])
    followed.begin()
    followed.tell(FIRST)
    followed.end()
    lines = (tmp_path / "run" / "numbers.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"stage": "pretrain", **record} for record in FIRST]
