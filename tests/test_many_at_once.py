"""Many clients at once, over many instances of the function: nothing is lost, and nothing is done twice.

What they were answered fits one order of what was done (history.py, judge.py), whatever the network did meanwhile.
"""

import pytest

from tests.ground import Ground
from tests.histories import Figures


@pytest.mark.parametrize("fair", [True, False], ids=["fair", "bad"])
@pytest.mark.parametrize("seed", range(100, 102))
def test_what_many_were_answered_fits_one_order(ground: Ground, seed: int, fair: bool) -> None:  # noqa: FBT001 - a case
    figures = Figures()
    figures.add(ground, seed, fair=fair)
    assert not figures.wrong, figures.report()
    assert figures.counts["histories of tasks"] > 10
    assert (figures.counts["faults of the network"] > 0) is not fair
