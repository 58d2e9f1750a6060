"""Data set, teacher and pruned network that the tests of stages share."""

import pytest
from stages.house import PRUNE, TEACHER

from sarslim.config import PrepareConfig, PruneConfig, TeacherConfig, parse
from sarslim.stages.prepare import prepare
from sarslim.stages.prune import prune_student
from sarslim.stages.teacher import train_teacher


@pytest.fixture(scope="session")
def house(store, tmp_path_factory):
    """Data set, teacher and pruned network, made once."""
    folder = tmp_path_factory.mktemp("house")
    data = {"image_size": 32, "simulator": {"chips": 120, "classes": 3}}
    prepare(parse(PrepareConfig, data), dataset=folder / "dataset", card=folder / "card.html")
    train_teacher(parse(TeacherConfig, TEACHER), dataset=folder / "dataset", teacher=folder / "teacher")
    prune_student(
        parse(PruneConfig, PRUNE),
        dataset=folder / "dataset",
        teacher=folder / "teacher",
        pruned=folder / "pruned",
        table=folder / "pruning.md",
    )
    return folder
