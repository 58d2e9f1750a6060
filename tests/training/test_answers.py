"""Stored answers: those of the teacher to the very views, written and read in constant memory, refused if damaged."""

import tracemalloc

import numpy as np
import pytest
import torch

from sarslim.config import DistillConfig, ViewsConfig
from sarslim.errors import InputError
from sarslim.records import AskRecord, Scaling
from sarslim.training import answers
from sarslim.training.views import Views

LINEAR = (Scaling(kind="linear", low=0.0, high=255.0),)
CPU = torch.device("cpu")
WIDTHS = (4, 6)


def views(labelled: int, unlabelled: int, size: int = 12) -> Views:
    images = np.random.default_rng(0).integers(0, 256, (labelled + unlabelled, 1, size, size), dtype=np.uint8)
    return Views(
        ViewsConfig.of(DistillConfig(shift=2)),
        7,
        labelled=images[:labelled],
        unlabelled=images[labelled:] if unlabelled else None,
        scaling=LINEAR,
    )


def record(labelled: int, unlabelled: int, number: int, widths=WIDTHS) -> AskRecord:
    return AskRecord(
        sarslim_version="0", views=number, unlabelled_views=max(number // 2, 1) if unlabelled else 0,
        chips=labelled, unlabelled_chips=unlabelled, classes=3, widths=widths,
    )  # fmt: skip


def teacher(images):
    """Any function of the image will do: 3 logits, 4 and 6 features."""
    weights = torch.randn(images[0].numel(), 13, generator=torch.Generator().manual_seed(0)) / 300
    out = images.flatten(1) @ weights
    return out[:, :3], [out[:, 3:7], out[:, 7:]]


@pytest.fixture
def stored(tmp_path):
    made = views(20, 50)
    written = answers.write(tmp_path / "answers", record(20, 50, 5), made, teacher, CPU, "teacher")
    return tmp_path / "answers", written


def test_the_stored_answer_is_that_of_the_teacher_to_this_very_view(stored):
    path, _ = stored
    opened = answers.Answers.open(path, views(20, 50))
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        chips = rng.permutation(70)[:16]
        before = rng.bit_generator.state
        (images, *_), (logits, pooled) = opened.show(chips, rng, CPU)
        rng.bit_generator.state = before
        seen |= set(zip(chips, rng.integers(0, np.where(chips < 20, 5, 2)), strict=True))
        expected, features = teacher(images)
        assert torch.equal(logits, expected.half().float())
        assert [each.shape for each in pooled] == [(16, 4), (16, 6)]
        assert all(torch.equal(a, b.half().float()) for a, b in zip(pooled, features, strict=True))
    assert {number for chip, number in seen if chip < 20} == {0, 1, 2, 3, 4}
    assert {number for chip, number in seen if chip >= 20} == {0, 1}


def test_its_size_and_digests_are_in_the_record(stored):
    path, written = stored
    assert answers.read_record(path) == written
    files = [file for file in path.iterdir() if file.suffix == ".npy"]
    assert {file.name for file in files} == set(written.sha256)
    assert written.bytes == sum(file.stat().st_size for file in files)
    assert written.answers == 20 * 5 + 50 * 2
    assert written.bytes == pytest.approx(200 * 13 * 2, abs=4 * 128)
    assert np.load(path / "train_logits.npy", mmap_mode="r").dtype == np.float16
    assert written.figures() == {"views": 5, "answers": 200, "bytes": written.bytes, "seconds": written.seconds}


def test_where_no_term_needs_features_none_are_kept(tmp_path):
    written = answers.write(
        tmp_path / "a", record(20, 0, 5, widths=()), views(20, 0), lambda images: (teacher(images)[0], []), CPU, "t"
    )
    assert set(written.sha256) == {"train_logits.npy"}
    opened = answers.Answers.open(tmp_path / "a", views(20, 0))
    assert opened.show(np.arange(4), np.random.default_rng(0), CPU).answer.pooled == []


def test_writing_and_opening_take_constant_memory(tmp_path):
    def peak(chips: int) -> tuple[int, int]:
        path, made = tmp_path / str(chips), views(chips, 0)
        wide = record(chips, 0, 8, widths=(500, 500))

        def ask(images):
            return images.flatten(1)[:, :3], [images.mean(dim=(2, 3)).expand(-1, 500)] * 2

        tracemalloc.start()
        written = answers.write(path, wide, made, ask, CPU, "teacher")
        answers.Answers.open(path, made).show(np.arange(32), np.random.default_rng(0), CPU)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most, written.bytes

    (small, _), (large, size) = peak(100), peak(800)
    assert size > 12e6
    assert large < 1.2 * small < 2e6


def test_an_unlabelled_chip_is_shown_as_often_as_epochs_have_room_for_it():
    assert answers.views_shown(40, 300, 3000) == (40, 4)
    assert answers.views_shown(40, 300, 1000) == (40, 12)
    assert answers.views_shown(40, 300, 300) == answers.views_shown(40, 300, 20) == (40, 40)
    assert answers.views_shown(40, 300, 0) == (40, 0)


def damage(path, how):
    file = path / "train_features.npy"
    content = file.read_bytes()
    if how == "cut":
        file.write_bytes(content[:-40])
    elif how == "flipped":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "missing":
        file.unlink()
    elif how == "shape":
        np.save(file, np.zeros((20, 5, 3), np.float16))
    elif how == "no record":
        (path / "answers.json").unlink()
    elif how == "version":
        changed = answers.read_record(path).model_copy(update={"schema_version": 2})
        (path / "answers.json").write_text(changed.model_dump_json())
    else:
        (path / "answers.json").write_text('{"views": 3}')


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut", "train_features.npy: is missing, cut short or not an array"),
        ("flipped", "train_features.npy: is not the file that answers.json describes"),
        ("missing", "train_features.npy: is missing"),
        ("shape", r"holds float16 \(20, 5, 3\), the record says float16 \(20, 5, 10\)"),
        ("no record", "holds no answers: answers.json cannot be read"),
        ("version", "is of version 2, version 1 is understood"),
        ("foreign", r"answers.json: is not the record of a teacher's answers \(1 fields wrong\)"),
    ],
)
def test_damaged_answers_are_refused(stored, how, words):
    damage(stored[0], how)
    with pytest.raises(InputError, match=words):
        answers.Answers.open(stored[0], views(20, 50))


def test_an_answer_that_is_not_finite_leaves_nothing_behind(tmp_path):
    with pytest.raises(InputError, match="teacher: its logits are not finite in float16"):
        answers.write(
            tmp_path / "a", record(20, 0, 2), views(20, 0),
            lambda images: (images.flatten(1)[:, :3] * 1e5, [torch.zeros(len(images), 10)]), CPU, "teacher",
        )  # fmt: skip
    assert not list(tmp_path.iterdir())
