"""The pages in a real browser, without scripts, as the KFP UI shows them: in a frame that may do nothing."""

import html
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import example_records
import pytest
from playwright.sync_api import Browser, Frame, Page, sync_playwright

from sarslim import report
from sarslim.records import PartCount

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
# The width of a desktop, of a phone, and of A4 between margins of 12 mm.
SCREENS = {"desktop": (1280, "screen"), "phone": (390, "screen"), "paper": (703, "print")}
MEASURE = """() => {
  document.querySelectorAll("details").forEach(details => details.open = true);
  const width = document.documentElement.clientWidth;
  const shown = selector => [...document.querySelectorAll(selector)].filter(e => e.getClientRects().length);
  const outside = e => e.getBoundingClientRect().right > width + 1 || e.getBoundingClientRect().left < -1;
  return {
    scrolls: document.documentElement.scrollWidth - width,
    outside: shown("main *:not(svg *), svg text").filter(outside).map(e => `${e.tagName} ${e.textContent}`.trim()),
    figures: shown("svg").filter(e => e.getBoundingClientRect().height > 60).length,
    images: document.images.length,
    broken: [...document.images].filter(image => !image.naturalWidth).length,
    paper: getComputedStyle(document.body).backgroundColor,
  };
}"""


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    hostile = example_records.story(simulated=False, classes=example_records.HOSTILE, passed=False)
    record = example_records.dataset(classes=example_records.HOSTILE)
    record = record.model_copy(update={"parts": record.parts | {"unlabelled": PartCount(chips=99_999, per_class=())}})
    return {
        "report": report.run_report(**example_records.story()),
        "hostile": report.run_report(**hostile),
        "comparison": report.comparison_page(example_records.comparison()),
        "runs": report.runs_index(example_records.runs()),
        "card": report.data_card(record, example_records.examples(record)),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        missing = "no Chromium on this machine (Debian: apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as driver:
        # Chromium's own sandbox refuses root; in a process of its own, the requests of a frame are not seen.
        options = ["--no-sandbox", "--disable-features=IsolateSandboxedIframes"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Shown:
    """A page in the browser, in a frame with no permissions, and what it asked the network for."""

    def __init__(self, browser: Browser, text: str, *, width: int, media: str = "screen", scheme: str = "light"):
        self.requests: list[str] = []
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=False
        )
        self.page = context.new_page()
        self.page.emulate_media(media=media, color_scheme=scheme)
        self.page.on("request", lambda request: self.requests.append(request.url))
        frame = (
            f'<iframe sandbox="" srcdoc="{html.escape(text)}" style="width: 100%; height: 900px; border: 0"></iframe>'
        )
        self.page.set_content(f'<!doctype html><body style="margin: 0">{frame}', wait_until="load")

    @property
    def frame(self) -> Frame:
        return self.page.frames[1]

    @property
    def fetched(self) -> list[str]:
        return [url for url in self.requests if not url.startswith(("data:", "about:"))]


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize(
    ("name", "figures", "images"),
    [("report", 13, 48), ("hostile", 13, 48), ("comparison", 1, 0), ("runs", 0, 0), ("card", 0, 48)],
)
def test_nothing_overflows_nothing_is_missing_and_nothing_is_fetched(browser, pages, name, figures, images, screen):
    width, media = SCREENS[screen]
    shown = Shown(browser, pages[name], width=width, media=media)
    found = shown.frame.evaluate(MEASURE)
    assert found["scrolls"] == 0
    assert found["outside"] == []
    assert (found["figures"], found["images"], found["broken"]) == (figures, images, 0)
    assert shown.fetched == []


def open_file(browser: Browser, text: str, folder: Path, *, width: int) -> Page:
    """A page as a file, without a frame, on a screen of 700 pixels height."""
    (folder / "page.html").write_text(text)
    page = browser.new_context(viewport={"width": width, "height": 700}, java_script_enabled=False).new_page()
    page.goto((folder / "page.html").as_uri())
    return page


def place(page: Page, selector: str) -> tuple[float, float]:
    """Upper and lower edge of an element on the screen, in pixels."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["y"], box["y"] + box["height"]


def test_contents_stay_in_view_on_wide_screens_and_lead_to_their_sections(browser, pages, tmp_path):
    page = open_file(browser, pages["report"], tmp_path, width=1280)
    for name in ("wrong", "reproduce"):
        page.click(f"nav a[href='#{name}']")
        assert page.url.endswith(f"#{name}")
        top, bottom = place(page, "nav.contents")
        assert (top >= 0, bottom <= 700) == (True, True)
        assert -1 <= place(page, f"h2#{name}")[0] < 600
    assert not open_file(browser, pages["report"], tmp_path, width=390).is_visible("nav.contents")


def test_contents_do_not_lead_out_of_the_frame_of_the_kfp_ui(browser, pages):
    shown = Shown(browser, pages["report"], width=1280)
    shown.frame.click("nav a[href='#reproduce']")
    shown.page.wait_for_timeout(100)
    assert shown.frame.url == "about:srcdoc"
    assert shown.page.url == "about:blank"
    assert shown.frame.is_visible("text=How to reproduce >> nth=0")


def test_the_name_of_a_row_unfolds_what_makes_its_bundle(browser, pages, tmp_path):
    page = open_file(browser, pages["comparison"], tmp_path, width=1280)
    assert not page.is_visible("#bundle-5")
    page.click("table.measured a:text-is('1% kd')")
    assert page.is_visible("#bundle-5")
    assert "--set prune.macs=1% --set prune.params=1% --set distill.scd_weight=0.0" in page.inner_text("#bundle-5")


def test_faults_are_seen(browser):
    wide = '<main><p style="width: 2000px">wide</p><img src="https://nowhere.invalid/gone.png"></main>'
    shown = Shown(browser, wide, width=390)
    found = shown.frame.evaluate(MEASURE)
    assert found["scrolls"] > 1600
    assert found["outside"] == ["P wide"]
    assert (found["images"], found["broken"]) == (1, 1)
    assert shown.fetched == ["https://nowhere.invalid/gone.png"]


def test_a_reader_without_scripts_sees_all_of_it(browser, pages):
    shown = Shown(browser, pages["report"], width=1280)
    text = shown.frame.inner_text("main").replace("\u00a0", " ")
    for words in ("the student recognises 95.3 % of 600 simulated", "Quality gate", "What it got wrong", "make run"):
        assert words in text
    # What is folded opens by a click, without a script.
    assert not shown.frame.is_visible("text=layer4.1.conv2 >> nth=-1")
    shown.frame.click("text=Channels per layer as a table")
    assert shown.frame.is_visible("text=layer4.1.conv2 >> nth=-1")


def test_dark_readers_get_a_dark_page_and_paper_stays_white(browser, pages):
    def paper(**options) -> str:
        return Shown(browser, pages["report"], width=1280, **options).frame.evaluate(MEASURE)["paper"]

    assert paper() == "rgb(255, 255, 255)"
    assert paper(scheme="dark") == "rgb(17, 21, 25)"
    assert paper(scheme="dark", media="print") == "rgb(255, 255, 255)"
