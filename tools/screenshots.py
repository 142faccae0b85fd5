"""Take pictures of pages for the documents: at a phone's and a desk's width, light and dark, in headless Chromium.

    make screenshots PAGES="runs/<run> runs/<run>#says"
    python tools/screenshots.py http://127.0.0.1:8000/ --say "What is the capital of France?"     # of core.serve

A page is an HTML file, or a folder that has one; ``#<anchor>`` is the section that the picture begins at. An address is
the page of ``core.serve``, on which something is said first. The pictures
are ``docs/pictures/<page>[-<anchor>]-<width>-<light or dark>.png``, the first screen of each, in 128 colours.
"""

import argparse
import io
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SIZES = {390: 844, 1280: 900}
"""Width to height, in pixels."""
PAGES = ("report.html", "sweep.html", "study.html", "compare.html", "index.html")
"""Of a folder, the first that is there."""
COLOURS = 128
MOST_BYTES = 200_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", metavar="PAGE", help="an HTML file or a folder with one, [#<anchor>]")
    parser.add_argument("--say", action="append", default=[], metavar="TEXT", help="to a served model, before")
    parser.add_argument("--to", type=Path, default=Path("docs/pictures"), metavar="DIR", help="default: docs/pictures")
    options = parser.parse_args(arguments)
    browser = find_browser()
    if browser is None:
        print(
            "error: no Chromium: apt-get install chromium-headless-shell, or playwright install chromium.",
            file=sys.stderr,
        )
        return 2
    for path in take(options.pages, options.to, browser, options.say):
        print(f"{path} {path.stat().st_size:,} bytes")
    return 0


def find_browser() -> str | None:
    """Return the program of a browser: Playwright's own, or one of the system; None: there is none of them."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if os.path.exists(own) else next(filter(None, map(shutil.which, BROWSERS)), None)


def take(pages: Sequence[str], folder: Path, browser: str, said: Sequence[str] = ()) -> list[Path]:
    """Write four pictures of each page and return their paths.

    Args:
        said: What is said to the model on a page of ``core.serve``, one after another.

    Raises:
        SystemExit: there is no such page, or a picture has more than :data:`MOST_BYTES`.
    """
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for named in pages:
            place, _, anchor = named.partition("#")
            served = place.startswith(("http://", "https://"))
            page = Path("serve") if served else find_page(Path(place))
            for width, height in SIZES.items():
                for scheme in ("light", "dark"):
                    context = opened.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
                    tab = context.new_page()
                    tab.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                    tab.goto(place if served else f"{page.resolve().as_uri()}{f'#{anchor}' if anchor else ''}")
                    for number, text in enumerate(said if served else ()):
                        tab.fill("#message", text)
                        tab.press("#message", "Enter")
                        tab.locator(".said.assistant .note").nth(number).wait_for(timeout=120_000)
                    # Charts are drawn when they come into view; a picture is of those that are.
                    tab.evaluate("typeof drawAll === 'function' ? drawAll() : null")
                    name = "-".join(part for part in (page.stem, anchor, str(width), scheme) if part)
                    path = folder / f"{name}.png"
                    path.write_bytes(in_few_colours(tab.screenshot()))
                    context.close()
                    made.append(path)
        opened.close()
    if heavy := [path for path in made if path.stat().st_size > MOST_BYTES]:
        raise SystemExit(f"error: {heavy[0]} has over {MOST_BYTES:,} bytes.")
    return made


def find_page(place: Path) -> Path:
    """Return the HTML file that is named, or that a folder has.

    Raises:
        SystemExit: there is none.
    """
    found = next((place / name for name in PAGES if (place / name).is_file()), None) if place.is_dir() else place
    if found is None or not found.is_file():
        raise SystemExit(f"error: {place}: no page there. Give an HTML file, or a folder with {', '.join(PAGES)}.")
    return found


def in_few_colours(picture: bytes) -> bytes:
    """Return a PNG with a palette: pages have few colours, and it takes a third of the bytes."""
    from PIL import Image

    small = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    sys.exit(main())
