"""Many clients at once, over many instances of the function: nothing is lost, and nothing is done twice.

What they were answered fits one order of what was done (history.py, judge.py), whatever the network did meanwhile.
"""

from collections.abc import Iterator

import pytest

from tests.bugs import BUGS, Bug
from tests.conftest import ROOT
from tests.ground import Ground, prepared
from tests.histories import Figures
from tests.texters import STAGE, Texts

WEATHER = pytest.mark.parametrize("fair", [True, False], ids=["fair", "bad"])


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Stand on ground where the limits of texts are soon reached."""
    with prepared(tmp_path_factory.mktemp("tight"), **STAGE) as ground:
        yield ground


@WEATHER
@pytest.mark.parametrize("seed", range(100, 102))
def test_what_many_were_answered_fits_one_order(ground: Ground, seed: int, fair: bool) -> None:  # noqa: FBT001 - a case
    figures = Figures()
    figures.add(ground, seed, fair=fair)
    assert not figures.wrong, figures.report()
    assert figures.counts["histories of tasks"] > 10
    assert (figures.counts["faults of the network"] > 0) is not fair


@WEATHER
@pytest.mark.parametrize("seed", range(2))
def test_each_key_sends_one_text_at_most_and_the_limits_are_exact(tight: Ground, seed: int, fair: bool) -> None:  # noqa: FBT001 - a case
    texts = Texts(tight, seed, fair=fair)
    assert not list(texts.faults())
    assert {sent.answer.status for sent in texts.sent} >= {202, 429}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_each_bug_that_make_bugs_seeds_has_its_place(bug: Bug) -> None:
    assert (ROOT / "chalicelib" / bug.file).read_text().count(bug.right) == 1
