"""Who is who: a table beside the chips, a pattern of their names, and splits by what these say."""

import csv
from collections import defaultdict

import pytest
from chip_sources import PRODUCT, configure, fleet, product_files, write_fusar, write_zip

from sarslim.chips import stream
from sarslim.chips.formats import open_reader
from sarslim.chips.inspect import check_names, fingerprint, inspect, names
from sarslim.chips.prepare import prepare
from sarslim.config import PrepareConfig, parse
from sarslim.errors import InputError
from sarslim.records import Preprocessing


def index(root, **values):
    return open_reader(configure(**values), root).index()


def refused(root, **values):
    (problem,) = index(root, **values).problems
    return str(problem)


def write_table(root, text):
    (root / "groups.csv").write_text(text)
    return root


def rows(root):
    """chips.csv of a prepared data set."""
    with (root / "chips.csv").open() as file:
        return list(csv.DictReader(file))


def parts_of(root, column):
    """The parts that each value of a column is in."""
    found = defaultdict(set)
    for row in rows(root):
        found[row[column]].add(row["split"])
    return found


def test_a_table_tells_group_ship_scene_and_number_and_is_no_chip_left_out(tree):
    root = write_table(
        tree({"A": 3, "B/SN_7": 2}),
        "\ufefffile;Number;ship;group;scene;mean\n"
        "A/0_000.png;12;;g;s;1.5\n"
        "A\\0_001.png;13.0;mmsi\n"
        "0_002;;;g\n"
        "./B/SN_7/1_000.png;-1;;;s2\n"
        "1_001.png;0;other\n",
    )
    found = index(root)
    assert (list(found.problems), list(found.warnings), list(found.skipped)) == ([], [], [])
    assert [(chip.group, chip.ship, chip.scene, chip.number) for chip in found.chips] == [
        ("g", "", "s", 12), ("", "mmsi", "", 13), ("g", "", "", None), ("", "B/SN_7", "s2", -1), ("", "other", "", 0),
    ]  # fmt: skip
    told = inspect(root, configure())
    assert (told.groups, told.ships, told.scenes, told.numbered) == (1, 3, 2, 4)


def test_rows_without_chips_and_chips_without_rows_are_counted(tree):
    root = write_table(tree({"A": 6, "B": 1}), "file,ship,gruop\nA/0_000.png,x,\ngone.png,y,\nA/notes.txt,z,\n")
    (root / "A" / "notes.txt").write_text("no chip")
    found = index(root)
    assert found.warnings == [
        "the column 'gruop' of groups.csv is not read; did you mean group?",
        "groups.csv has no row for 6 of 7 chips: A/0_001.png, A/0_002.png, A/0_003.png, and 3 more",
    ]
    assert [(row.name, row.reason) for row in found.skipped] == [
        ("A/notes.txt", "not a PNG, JPEG or TIFF file"),
        ("gone.png", "in groups.csv, but there is no such chip"),
    ]
    assert [chip.ship for chip in found.chips] == ["x"] + [""] * 6


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("ship,scene\nx,y\n", "groups.csv: has the columns ship, scene, and lacks file. Name the columns file in the"),
        ("file,mean\nA/0_000.png,y\n", "has the columns file, mean, and none that tells chips apart. Name one or more"),
        ("file,ship\nA/0_000.png,x\nA/0_000.png,x\n", "groups.csv: lines 2 and 3 name A/0_000.png. Correct these"),
        ("file,ship\nA/0_000.png,x\n0_000,x\n", "lines 2 and 3 are all of the chip A/0_000.png"),
        ("file,ship\ntwin.png,x\n", "line 2 names twin.png, which may be A/twin.png or B/twin.png"),
        ("file,number\nA/0_000.png,1a\n,7\n", "line 2 has the number '1a', which is no whole number; line 3 names no"),
        ("file,split\nA/0_000.png,tst\n", "line 2 has the split 'tst', which is none of train, val and test"),
        ("file,ship\nx/0_000.png,1\n", "names no chip that is there: its first file is x/0_000.png, the chips are suc"),
        ('file,ship\n"A/0_000.png,x\n', "names no chip that is there"),
    ],
)
def test_a_wrong_table_is_refused_with_the_line(tree, table, words):
    root = write_table(tree({"A": 3, "B": 3}), table)
    for label in "AB":
        (root / label / "twin.png").write_bytes((root / f"{label}/{'AB'.index(label)}_001.png").read_bytes())
    assert words in refused(root)
    assert words in inspect(root, configure()).problems[0]
    if "all of the chip" not in words and "may be" not in words:  # what the names of files alone tell
        with pytest.raises(InputError) as caught:
            check_names(names(root), configure(), (root / "groups.csv").read_bytes())
        assert words in str(caught.value)


def test_a_part_of_the_table_is_a_given_split_for_every_chip_and_not_another_than_that_of_the_folder(tree, tmp_path):
    root = tree({"A": 30, "B": 30})
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    lines = [f"{file},{('Testing', 'val', 'TRAIN')[min(n % 30 // 6, 2)]}" for n, file in enumerate(files)]
    write_table(root, "\n".join(["file,split", *lines, ""]))
    record = prepare(configure(), root, tmp_path / "out")
    assert {name: part.per_class for name, part in record.parts.items()} == {
        "train": (18, 18), "val": (6, 6), "test": (6, 6),
    }  # fmt: skip
    assert record.split_rule == "test, train, val as given by the source"
    how = Preprocessing(
        channels=record.channels, image_size=16, dtype="uint8", scaling=record.scaling, values="uint8",
        polarisation_as="samples", labels="visual", merge={},
    )  # fmt: skip
    assert len(list(stream.labelled(root, how, record.classes))) == 12  # the test part alone

    write_table(root, "\n".join(["file,split", *lines[:-7], ""]))
    with pytest.raises(
        InputError, match="puts 53 chips of these classes into a part, and 7 into none, such as B/1_023"
    ):
        prepare(configure(), root, tmp_path / "partly")

    given = tree({"train/A": 5, "train/B": 5, "test/A": 2, "test/B": 2})
    for folder in ("A", "B"):
        for path in (given / folder).iterdir():
            path.unlink()
    write_table(given, "file,split\ntrain/A/2_000.png,test\ntest/A/0_000.png,test\n")
    assert "line 2 puts train/A/2_000.png into test, its folder train" in refused(given)


def test_groups_are_not_torn_apart_and_neither_are_ships_across_them(tree, tmp_path):
    root = tree({"A": 60, "B": 60})
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    # Pairs of look-alikes; every fifth chip is of a ship that is in several groups.
    lines = [f"{file},{n // 2},{f's{n // 10}' if n % 5 == 0 else ''}" for n, file in enumerate(files)]
    write_table(root, "\n".join(["file,group,ship", *lines, ""]))
    record = prepare(configure(), root, tmp_path / "out")
    assert record.split_rule == "test and val drawn by group, stratified by class"
    assert record.warnings == ()
    for column in ("group", "ship"):
        assert all(len(parts) == 1 for value, parts in parts_of(tmp_path / "out", column).items() if value)
    assert all(sum(part.per_class) >= 8 for part in record.parts.values())
    assert [row["number"] for row in rows(tmp_path / "out")] == [""] * 120
    # By ship alone groups are torn apart, which is told.
    (said,) = prepare(configure(group_by="ship"), root, tmp_path / "ships").warnings
    assert "of 60 groups are in more than one part: " in said


def test_blocks_of_numbers_are_not_torn_apart(tree, tmp_path):
    root = tree({"A": 100, "B": 100})
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    lines = [f"{file},{n % 100},{'look-alike' if n in (5, 95) else ''}" for n, file in enumerate(files)]
    write_table(root, "\n".join(["file,number,group", *lines, ""]))
    record = prepare(configure(group_by="block", block_size=10), root, tmp_path / "out")
    assert record.split_rule == "test and val drawn by blocks of 10 running numbers, stratified by class"
    blocks = defaultdict(set)
    for row in rows(tmp_path / "out"):
        blocks[int(row["number"]) // 10].add(row["split"])
    assert all(len(parts) == 1 for parts in blocks.values())
    assert blocks[0] == blocks[9]
    assert {name: part.per_class for name, part in record.parts.items()} == {
        "train": (70, 70), "val": (10, 10), "test": (20, 20),
    }  # fmt: skip
    (root / "groups.csv").unlink()
    with pytest.raises(InputError, match="group_by: block asked for, but the source does not say of which block"):
        prepare(configure(group_by="block"), root, tmp_path / "none")


def test_a_pattern_tells_as_much_and_the_table_goes_before_it(tree):
    root = write_table(tree({"A": 3, "B": 3}), "file,scene\nA/0_001.png,mine\n")
    found = index(root, group_pattern=r"(?P<scene>\d)_(?P<number>\d+)(?P<ship>x)?\.png")
    assert [(chip.scene, chip.number, chip.ship) for chip in found.chips] == [
        ("0", 0, ""), ("mine", 1, ""), ("0", 2, ""), ("1", 0, ""), ("1", 1, ""), ("1", 2, ""),
    ]  # fmt: skip
    (root / "groups.csv").unlink()
    assert index(root, group_pattern=r"A/(?P<ship>\d+)").warnings == [
        "group_pattern is not found in 3 of 6 chips: B/1_000.png, B/1_001.png, B/1_002.png"
    ]
    assert refused(root, group_pattern="(?P<ship>S1A_.*)").startswith(
        "prepare.group_pattern: '(?P<ship>S1A_.*)' is found in no path of a chip, such as A/0_000.png."
    )
    assert "A/0_000.png has the number 'A/0', which is no whole number" in refused(
        root, group_pattern="(?P<number>.../?)"
    )
    assert "B/1_000.png has the split 'B', which is none" in refused(root, group_pattern="(?P<split>B)")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?P<ship>", "group_pattern: '(?P<ship>' is no regular expression (missing ), unterminated subpattern"),
        (r"\d+", "has no named part. Name one or more of group, ship, scene, split, number, such as (?P<ship>...)"),
        ("(?P<sceen>.)", "has the part 'sceen'"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused_by_the_configuration(pattern, words):
    with pytest.raises(InputError) as caught:
        parse(PrepareConfig, {"group_pattern": pattern})
    assert words in str(caught.value)
    with pytest.raises(InputError, match="prepare.group_pattern: is for the names of files"):
        open_reader(configure(group_pattern="(?P<ship>.)"), None)


def test_every_reader_takes_them(tmp_path):
    ships = [(f"Ship_C01S02N{n:04d}", "", ("Cargo\\Bulk", "Tanker\\Oil")[n % 2]) for n in range(40)]
    fusar = write_fusar(tmp_path / "fusar", ships)
    write_table(fusar, "file,number\n" + "".join(f"{name},{n}\n" for n, (name, *_) in enumerate(ships)))
    record = prepare(configure(group_by="block", block_size=4), fusar, tmp_path / "out")
    assert record.split_rule.startswith("test and val drawn by blocks of 4")
    assert [row.name for row in record.skipped] == ["meta.csv"]
    products = tmp_path / "products"
    file = write_zip(products / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(24)))
    write_table(products, "file,group\n" + "".join(f"{chip.id},{n // 4}\n" for n, chip in enumerate(index(file).chips)))
    record = prepare(configure(), products, tmp_path / "zips")
    assert record.split_rule == "test and val drawn by group, stratified by class"
    assert not [row for row in record.skipped if row.name.endswith("groups.csv")]
    assert all(len(parts) == 1 for parts in parts_of(tmp_path / "zips", "group").values())
    found = index(file, group_pattern=r"_x(?P<number>\d+)_")  # one zip alone has no table beside it
    assert [chip.number for chip in found.chips] == [int(chip.id.split("_x")[1].split("_")[0]) for chip in found.chips]


def test_the_table_is_part_of_what_a_source_is_known_by(tree, tmp_path):
    root = write_table(tree({"A": 20, "B": 20}), "file,group\nA/0_000.png,1\n")
    first, sources = fingerprint(root), prepare(configure(), root, tmp_path / "out").sources_sha256
    write_table(root, "file,group\nA/0_000.png,2\n")
    assert fingerprint(root) != first
    assert prepare(configure(), root, tmp_path / "again").sources_sha256["."] != sources["."]
