"""Records into templates, chips into pictures."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

import sarslim.report.units as units
from sarslim.report.words.text import sentence


def render(template: str, **values: Any) -> str:
    # The stages that write tables only have no jinja2.
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sarslim.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["nb"] = units.no_break
    environment.filters["sentence"] = sentence
    return environment.get_template(template).render(**values)


def pictures(chips: Sequence[np.ndarray] | np.ndarray) -> list[str]:
    """One PNG per chip (C, H, W) as a data address, its channels one below the other."""
    from PIL import Image

    pictures = []
    for chip in chips:
        file = io.BytesIO()
        Image.fromarray(np.concatenate(list(chip)).round().astype(np.uint8)).save(file, "PNG", optimize=True)
        pictures.append(f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}")
    return pictures
