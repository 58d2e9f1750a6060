"""Tables beside the chips: CSV as people and their programs write it."""

import csv
import io
from collections.abc import Sequence

from sarslim.chips.container import said
from sarslim.errors import InputError


def read(data: bytes, name: str, needed: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table with its columns in the first line, by the names of these in lower case.

    The delimiter is the comma, the semicolon or the tabulator, the encoding UTF-8 or what Chinese Windows writes. Cells
    that are missing at the end of a row are empty. ``line`` holds the line that a row ends in.

    Raises:
        InputError: no text, no table, or one without the columns ``needed``.
    """
    text = _decoded(data, name)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
        reader.fieldnames = [column.strip().lower() for column in reader.fieldnames or ()]
        missing = [column for column in needed if column not in reader.fieldnames]
        if missing:
            raise InputError(
                name,
                f"has the columns {', '.join(reader.fieldnames)}, and lacks {', '.join(missing)}",
                f"Name the columns {', '.join(needed)} in the first line",
            )
        rows = ((row, reader.line_num) for row in reader)
        return [
            {column: cell.strip() for column, cell in row.items() if column} | {"line": str(line)} for row, line in rows
        ]
    except csv.Error as error:
        raise InputError(name, f"cannot be read as a table ({said(error)})", "Save it as CSV again") from error


def _decoded(data: bytes, name: str) -> str:
    for encoding in ("utf-8-sig", "gb18030"):  # the second one is what Chinese Windows writes
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(name, "is neither UTF-8 nor GB 18030", "Save it as UTF-8")
