"""Records into templates, chips into pictures, and into a page what became known after it was written."""

import base64
import html
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

import sarslim.report.units as units
from sarslim.report.words.text import sentence


def render(template: str, **values: Any) -> str:
    """The page of a template."""
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


def filled(page: str, **texts: str) -> str:
    """A page with what was not known when it was written: the text of every element with ``data-fill="NAME"``.

    ``run`` is the id of the run, ``bundle`` the address of its bundle, ``rerun`` the command that runs it again.
    """
    for name, text in texts.items():
        # A template, in which a backslash would be an order.
        shown = html.escape(text).replace("\\", r"\\")
        page = re.sub(rf'(<span data-fill="{re.escape(name)}">)[^<]*(</span>)', rf"\g<1>{shown}\g<2>", page)
    return page


def pictures(chips: Sequence[np.ndarray] | np.ndarray) -> list[str]:
    """One PNG per chip (C, H, W) as a data address, its channels one below the other."""
    from PIL import Image

    pictures = []
    for chip in chips:
        file = io.BytesIO()
        Image.fromarray(np.concatenate(list(chip)).round().astype(np.uint8)).save(file, "PNG", optimize=True)
        pictures.append(f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}")
    return pictures
