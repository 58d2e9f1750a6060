"""Writes what the documentation takes from the sources: ``python -m docs.generate`` from the root of the repository."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ROOMS = ("<!-- rooms -->", "<!-- end of rooms -->")


def made() -> dict[Path, str]:
    """Every file that is made from the sources, with what belongs into it."""
    sys.path[:0] = [str(ROOT / "tests")]
    from google.protobuf import json_format
    from test_floors import FLOORS

    import pipeline
    from docs import commands, configuration, drawing
    from sarslim.cli.app import app

    pictures = {
        f"pipeline-{name}.svg": drawing.pipeline(
            json_format.MessageToDict(pipeline.build(name).pipeline_spec), f"The tasks of the pipeline {name}"
        )
        for name in ("compress", "sweep", "baselines")
    }
    imports = drawing.room_imports(ROOT / "sarslim")
    pictures["floors.svg"] = drawing.floors(FLOORS, imports)
    architecture = DOCS / "architecture.md"
    return {
        DOCS / "cli.md": commands.page(app),
        DOCS / "configuration.md": configuration.page(),
        architecture: with_rooms(architecture.read_text(encoding="utf-8"), drawing.rooms_table(FLOORS, imports)),
        **{DOCS / "pictures" / name: text for name, text in pictures.items()},
    }


def with_rooms(page: str, table: str) -> str:
    """The page with the table of the rooms between its marks."""
    before, _, rest = page.partition(ROOMS[0])
    return f"{before}{ROOMS[0]}\n\n{table}\n\n{ROOMS[1]}{rest.partition(ROOMS[1])[2]}"


def stale() -> list[Path]:
    """Files whose content is not what the sources say."""
    return [path for path, text in made().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


if __name__ == "__main__":
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
