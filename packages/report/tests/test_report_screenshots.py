"""``tools/screenshots.py`` takes the pictures of the documents from the page of a run."""

import pytest
from smallwright_report import page, run_page

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytestmark = pytest.mark.slow


def test_each_page_gives_four_small_pictures(screenshots, tmp_path, example, capsys):
    page.write(tmp_path / "run/report.html", run_page.render(example))
    assert screenshots.main([str(tmp_path / "run"), f"{tmp_path / 'run'}#says", "--to", str(tmp_path / "made")]) == 0
    made = sorted((tmp_path / "made").iterdir())
    assert len(made) == len(capsys.readouterr().out.splitlines()) == 8
    assert {path.name for path in made} >= {"report-390-light.png", "report-says-1280-dark.png"}
    brightness = {}
    for path in made:
        with Image.open(path) as image:
            width, scheme = path.stem.split("-")[-2:]
            assert image.size == (int(width), screenshots.SIZES[int(width)])
            brightness.setdefault(scheme, []).append(image.convert("L").resize((1, 1)).getpixel((0, 0)))
        assert path.stat().st_size < screenshots.MOST_BYTES
    assert max(brightness["dark"]) < 128 < min(brightness["light"])
    with pytest.raises(SystemExit, match="no page there"):
        screenshots.main([str(tmp_path / "made")])
