"""The workflows for a user's CI: what they call is there, pinned, and may do no more than read."""

import re
from pathlib import Path

import pytest
import yaml

from components import images

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_is_pinned_and_only_reads(file):
    found = yaml.safe_load(file.read_text())
    assert found["permissions"] == {"contents": "read"}
    steps = [step for job in found["jobs"].values() for step in job["steps"]]
    assert all(re.search(r"@v\d", step["uses"]) for step in steps if "uses" in step)
    assert all("==" in step["run"] for step in steps if step.get("run", "").startswith("pip install"))
    assert all(job["timeout-minutes"] <= 90 for job in found["jobs"].values())


def test_every_image_has_an_sbom_and_every_lock_is_audited():
    found = yaml.safe_load((ROOT / ".github" / "workflows" / "security.yml").read_text())
    assert set(found["jobs"]["sbom"]["strategy"]["matrix"]["image"]) == set(images.TARGETS.values())
    told = next(step["run"] for step in found["jobs"]["audit"]["steps"] if "for lock in" in step.get("run", ""))
    patterns = re.search(r"for lock in (.*);", told)[1].split()
    audited = {path for pattern in patterns for path in ROOT.glob(pattern)}
    locks = {path for path in ROOT.rglob("*.lock") if not path.relative_to(ROOT).parts[0].startswith((".", "build"))}
    assert audited == locks
    assert all("--hash=sha256:" in path.read_text() for path in locks)
