"""``python -m sarslim.cli`` is the command ``sarslim``."""

from sarslim.cli.app import app

app(prog_name="sarslim")
