"""The command as it was installed: it works from any folder, and what it prints as the next step works when pasted."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(sys.executable).with_name("sarslim")


def test_the_command_finds_the_pipelines_of_its_clone_from_any_folder(tmp_path):
    done = subprocess.run([SCRIPT, "compile"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "build" / "compress.yaml").is_file()
