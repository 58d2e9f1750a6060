"""Every command that the documentation prints exists, with its options; what can be run in seconds is run as printed.

The commands of README.md are run in test_readme.py, so that two processes share the work.
"""

from collections.abc import Callable
from pathlib import Path

import printed
import pytest

RUN = [
    page
    for page in printed.PAGES
    if page != printed.README
    and any(b.language in (printed.COMMANDS, printed.CODE) and not b.reason for b in printed.blocks(page))
]


@pytest.mark.parametrize("page", printed.PAGES, ids=lambda page: str(page.relative_to(printed.ROOT)))
def test_every_command_exists_and_its_options_parse(page):
    assert [problem for block in printed.blocks(page) for problem in printed.problems(block)] == []
    wrong = {text: printed.wrong_with(words, whole=False)
             for text in printed.inline(page) for words in printed.simple_commands(text)}  # fmt: skip
    assert {text: problem for text, problem in wrong.items() if problem} == {}


@pytest.fixture(scope="module")
def folder_after(tmp_path_factory) -> Callable[[Path], Path]:
    """Runs a page once, after the page that it goes on from, and gives the folder in which it ran."""
    done: dict[Path, Path] = {}

    def ready(page: Path) -> Path:
        if page not in done:
            before = printed.after(page)
            done[page] = ready(before) if before else printed.clone(tmp_path_factory.mktemp(page.stem))
            printed.run(page, done[page])
        return done[page]

    return ready


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_a_page_works_as_printed(page, folder_after):
    folder_after(page)


def test_the_tutorial_and_the_pages_after_it_are_run():
    assert {"tutorial.md", "data.md", "python.md"} <= {page.name for page in RUN}


# The mechanism itself.


def page(folder: Path, text: str) -> Path:
    file = folder / "page.md"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_command_that_fails_is_named_with_its_line(tmp_path):
    text = "# Page\n\n```bash\necho fine > here\n```\n\n```bash\ntest -f here\ncat nowhere | wc -l\n```\n"
    with pytest.raises(AssertionError, match=r"page.md:8 ended with 1(.|\n)*nowhere"):
        printed.run(page(tmp_path, text), printed.clone(tmp_path / "clone"))


def test_what_is_not_run_leaves_no_trace(tmp_path):
    text = "<!-- not run: needs a cluster -->\n```bash\ntouch trace\n```\n```bash\ntouch other\n```\n"
    folder = printed.clone(tmp_path / "clone")
    printed.run(page(tmp_path, text), folder)
    assert (folder / "other").exists()
    assert not (folder / "trace").exists()


def test_python_goes_on_where_python_ended(tmp_path):
    text = "```python\nnumber = 1\n```\n\nand\n\n```python\nopen('found', 'w').write(str(number + 1))\n```\n"
    folder = printed.clone(tmp_path / "clone")
    printed.run(page(tmp_path, text), folder)
    assert (folder / "found").read_text() == "2"


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("bash", "sarslim rn", "rn"),
        ("bash", "sarslim predict s3://a/b chips --in8", "--in8"),
        ("bash", "sarslim predict", "BUNDLE"),
        ("bash", "FOO=1 .venv/bin/sarslim models lst && true", "lst"),
        ("bash", "sarslim predict a b --threads many > found.csv", "many"),
        ("bash", "make nothing DATA=x", "nothing"),
        ("bash", "if true; then", "syntax error"),
        ("", "sarslim run -c quick", "not marked"),
        ("python", "print(", "not Python"),
    ],
)
def test_what_could_not_work_is_seen_without_running_it(tmp_path, language, text, words):
    file = page(tmp_path, f"# Page\n\n<!-- not run: a test -->\n```{language}\n{text}\n```\n")
    (found,) = [problem for block in printed.blocks(file) for problem in printed.problems(block)]
    assert words in found


def test_what_could_work_is_passed(tmp_path):
    text = (
        "sarslim --version\nsarslim predict a b c --int8 --format jsonl \\\n  --threads 2 > found.csv\n"
        "cd x && sarslim models list | head\nmake run CONFIG=x\nkubectl apply -k here\n# sarslim nothing\n"
    )
    file = page(tmp_path, f"<!-- not run: a test -->\n```bash\n{text}```\n")
    assert printed.problems(printed.blocks(file)[0]) == []
    assert printed.wrong_with(["sarslim", "predict", "--int8"], whole=False) == ""
