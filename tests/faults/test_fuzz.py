"""Every reader against files that once broke one, and against mutated ones, of which ``make fuzz`` has many more."""

import random
from pathlib import Path

import pytest
from faults import mutation
from faults.guard import Guard
from faults.readers import READERS

CORPUS = Path(__file__).parent / "corpus"
CASES = 2000  # in all


@pytest.fixture(scope="module")
def guard():
    own = Guard()
    yield own
    own.close()


def test_whole_files_are_read(guard):
    for name, reader in READERS.items():
        read, wrong = guard.judge(name, reader, reader.seeds()[0])
        assert not wrong, f"{name}: {wrong}"
        assert read or name == "s3-answer", name  # of its answers one is read, and others lead out of the folder


@pytest.mark.parametrize("name", READERS)
def test_files_that_once_broke_a_reader(name, guard):
    for file in sorted((CORPUS / name).glob("*")):
        _, wrong = guard.judge(name, READERS[name], file.read_bytes())
        assert not wrong, f"{file}: {wrong}"


def test_the_corpus_has_a_file_for_readers_only():
    assert {folder.name for folder in CORPUS.iterdir()} <= set(READERS)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", READERS)
def test_mutated_files_are_read_or_named(name, guard):
    rng, reader = random.Random(name), READERS[name]
    seeds = reader.seeds()

    def other(data: bytes) -> bytes:
        return mutation.simple(data, rng)

    for _ in range(round(CASES * reader.share)):
        data = rng.choice(seeds)
        data = reader.keeping(data, rng, other) if reader.keeping and rng.random() < 0.6 else other(data)
        _, wrong = guard.judge(name, reader, data)
        assert not wrong, f"{name}: {wrong}"


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (lambda folder: (folder.parent.parent / "out").write_text("x"), "to write"),
        (lambda folder: Path("/etc/hostname").read_text(), "it opened '/etc/hostname'"),
        (lambda folder: (folder.parent / "beside").mkdir(), "it left"),
        (lambda folder: {}["x"], "KeyError"),
    ],
    ids=["writes", "reads", "leaves", "raises"],
)
def test_the_guard_sees_what_it_is_there_for(does, said):
    from faults.readers import Reader

    own = Guard()
    try:
        (own.folder / "x").mkdir()
        _, wrong = own.judge("x", Reader(lambda data, folder: does(folder), list, 1), b"")
        assert said in wrong
    finally:
        (own.folder.parent / "out").unlink(missing_ok=True)
        own.close()
