"""The commands of README.md are run as printed."""

import printed


def test_the_readme_works_as_printed(tmp_path):
    printed.run(printed.README, printed.clone(tmp_path / "sarslim"))
