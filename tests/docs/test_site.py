"""The site: built strictly, fetching nothing, made of fresh sources, with links that lead somewhere, readable."""

import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
import typer
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config
from playwright.sync_api import Browser, Page, sync_playwright

from docs import commands, drawing, generate, hooks
from sarslim.config import STAGES, RunConfig

ROOT = Path(__file__).parents[2]
TEXTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "manifests" / "README.md"]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
MEASURE = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = e => e && (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
  const outside = e => e.getClientRects().length && e.getBoundingClientRect().right > width + 1;
  return {
    scrolls: document.documentElement.scrollWidth - width,
    outside: [...document.querySelectorAll(".md-content *")]
      .filter(e => outside(e) && !scrolls(e.parentElement)).map(e => e.textContent.slice(0, 60)),
    broken: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
  };
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as by ``make docs``; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    warnings: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("mkdocs").addHandler(handler)
    try:
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    finally:
        logging.getLogger("mkdocs").removeHandler(handler)
    assert warnings == []
    return folder


def test_every_page_of_the_navigation_is_there(site):
    names = set(re.findall(r": ([\w-]+)\.md\b", (ROOT / "mkdocs.yml").read_text()))
    assert len(names) > 14
    assert [name for name in names if not (site / f"{name}.html").is_file()] == []


def test_what_is_made_from_the_sources_is_fresh():
    stale = [str(path.relative_to(ROOT)) for path in generate.stale()]
    assert stale == [], "run: python -m docs.generate"


def test_the_reference_has_every_field_with_default_and_bounds():
    text = (ROOT / "docs" / "configuration.md").read_text()
    for stage in STAGES:
        for name in RunConfig.model_fields[stage].annotation.model_fields:
            assert f"`{name}`" in text or f"### {stage}.{name}\n" in text, f"{stage}.{name}"
    row = '<a id="distill.temperature"></a>`temperature` | number, > 0, ≤ 100 | `4.0` | Softens the responses'
    assert row in text
    assert "| `prepare` | 500m | 2 | 1Gi | 4Gi | 240 | 2 |" in text
    assert "| `kd+crd reversed` | as `kd`, but `crd_weight=0.1`, `crd_direction=deep_from_shallow` |" in text
    assert "| `resnet18` | 11.2 M | 142 M |" in text
    assert (
        "| `seed` | `prepare.seed`, `teacher.seed`, `prune.seed`, `ask.seed`, `distill.seed`, `evaluate.seed` |" in text
    )


def test_the_reference_has_every_command_with_its_options():
    text = (ROOT / "docs" / "cli.md").read_text()
    assert "## sarslim predict" in text
    assert "sarslim predict BUNDLE CHIPS... [OPTIONS]" in text
    assert "| `--threads` `int range` | `0` | CPU threads. 0: one per core that may be used. |" in text
    assert "### sarslim models rollback" in text


def test_any_tree_of_commands_gets_a_page():
    app = typer.Typer(epilog="Examples:\n  tool go --to here\n\nExit codes:\n  0  fine\n  2    a | b")
    group = typer.Typer(invoke_without_command=True)
    app.add_typer(group, name="runs", rich_help_panel="Elsewhere")

    @app.command()
    def go(
        source: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="From.")],
        to: Annotated[str, typer.Option("--to", "-t", metavar="PLACE", help="Where to.")],
        often: Annotated[int, typer.Option(help="How often.", rich_help_panel="More")] = 3,
        loud: Annotated[bool, typer.Option("--loud", help="With noise.")] = False,
        secret: Annotated[str, typer.Option(hidden=True)] = "",
    ) -> None:
        """Goes there."""

    @group.callback()
    def runs(most: int = 20) -> None:
        """Lists runs."""

    @group.command("show")
    def show_run(run: str) -> None:
        """Shows one."""

    text = commands.page(app, "tool")
    for expected in (
        "| [`tool go`](#tool-go) | Goes there |",
        "**Elsewhere**\n\n| Command | Does |\n| --- | --- |\n| [`tool runs`](#tool-runs) | Lists runs |",
        "### Exit codes\n\n| Code | Meaning |\n| --- | --- |\n| `0` | fine |\n| `2` | a \\| b |",
        "```bash\ntool go --to here\n```",
        "```text\ntool go SOURCE... --to PLACE [OPTIONS]\n```",
        "| `-t`, `--to` `PLACE` | required | Where to. |\n| `--loud` | off | With noise. |",
        "*More:*\n\n| Option | Default | Meaning |\n| --- | --- | --- |\n| `--often` `int` | `3` | How often. |",
        "```text\ntool runs [OPTIONS]\n```",
        "### tool runs show\n\nShows one.\n\n```text\ntool runs show RUN [OPTIONS]\n```",
    ):
        assert expected in text, expected
    assert "secret" not in text


def anchors(page: Path) -> set[str]:
    """What a link to a page may name, as GitHub and the site name headings."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {
        re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower().replace(" ", "-") for heading in headings
    }
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = "".join(piece for piece, is_code in hooks.pieces(page.read_text(encoding="utf-8")) if not is_code)
    text = re.sub(r"`[^`\n]*`", "", text)
    for link in re.finditer(r"\]\(([^()\s#]*)(#[^()\s]+)?\)", text):
        path, anchor = link[1], (link[2] or "").removeprefix("#")
        if "://" in path:
            continue
        target = page.parent / path if path else page
        assert target.exists(), link[0]
        if anchor:
            assert anchor in anchors(target), link[0]


def test_nothing_is_asked_of_the_network(site):
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>", text) == [], (
            page.name
        )


def test_a_link_into_the_repository_leads_to_a_page_or_becomes_its_text():
    assert hooks.led("[a](../manifests/README.md#gpus)", "docs/faq.md") == "[a](manifests.md#gpus)"
    assert hooks.led("[b](docs/data.md)", "CONTRIBUTING.md") == "[b](data.md)"
    assert hooks.led("[c](../tests/test_manifests.py) `[d](x)`", "manifests/README.md") == "c `d`"
    picture = "[![e](../benchmarks/results/method-MSTAR-10.svg)](../benchmarks/results/method-MSTAR-10.svg)"
    assert hooks.led(picture, "docs/results.md") == "[![e](pictures/method-MSTAR-10.svg)](pictures/method-MSTAR-10.svg)"
    assert hooks.led("```\n[f](../nowhere)\n```\n[g](https://h.invalid/i)", "docs/faq.md").endswith(
        "[g](https://h.invalid/i)"
    )


def test_arrows_that_others_imply_are_not_drawn():
    edges = {"top": {"middle", "ground"}, "middle": {"ground"}, "ground": set(), "side": {"ground"}}
    assert drawing.reduced(edges) == {"top": {"middle"}, "middle": {"ground"}, "ground": set(), "side": {"ground"}}
    picture = drawing.floors([{"ground"}, {"middle", "side"}, {"top"}], edges)
    assert "4 rooms on 3 floors; 4 imports between rooms" in picture
    assert picture.count('class="arrow"') == 3


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        missing = "no Chromium on this machine (Debian: apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, file: Path, width: int) -> tuple[Page, list[str]]:
    """A page from the disk, and what it asked the network for."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    return page, asked


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_and_fetch_nothing(browser, site, width):
    for file in sorted(site.glob("*.html")):
        page, asked = opened(browser, file, width)
        assert page.evaluate(MEASURE) == {"scrolls": 0, "outside": [], "broken": []}, file.name
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == [], file.name
        page.close()


def test_the_search_works_from_the_disk(browser, site):
    page, _ = opened(browser, site / "index.html", 1280)
    for left in (2, 1, 0):  # what is typed before the index is read may be lost
        page.reload()
        page.fill("input.md-search__input", "speckle")
        try:
            page.wait_for_selector(".md-search-result__item >> text=Speckle", timeout=15_000)
            break
        except Exception:
            assert left, "no result"
    found = page.locator(".md-search-result__link").evaluate_all("links => links.map(link => link.href)")
    assert any("glossary.html" in link and link.endswith("#speckle") for link in found), found
    page.close()


def test_whom_to_cite():
    record = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= record.keys()
    assert record["cff-version"] == "1.2.0"
    (method, reflection) = record["references"]
    assert [author["family-names"] for author in method["authors"]] == ["Li", "He", "Zhu", "Li", "Qiu"]
    assert (method["volume"], method["issue"], method["start"], method["end"], method["year"]) == (
        32,
        2,
        103,
        110,
        2025,
    )
    assert (reflection["volume"], reflection["start"], reflection["end"], reflection["year"]) == (131, 1857, 1874, 2023)
    for reference in record["references"]:
        assert {"type", "title", "authors"} <= reference.keys()


def test_the_workflow_runs_what_runs_here_with_no_more_rights_than_reading():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    steps = workflow["jobs"]["check"]["steps"]
    assert steps[-1] == {"run": "bash .ci/run"}
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps[:-1])


@pytest.mark.parametrize("form", ["bug_report", "feature_request"])
def test_forms_ask_for_something(form):
    asked = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml").read_text())
    assert asked["name"]
    assert asked["description"]
    assert any(field.get("validations", {}).get("required") for field in asked["body"])
    ids = [field["id"] for field in asked["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids))
