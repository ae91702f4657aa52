"""Work shared out among processes: the same results, in order, whatever becomes of the helpers."""

from collections.abc import Callable

import pytest
from process_samples import Fragile, doubled, refused

from annotations.processes import shared_out


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("chunks", [0, 1, 2, 9])
def test_results_are_in_order_and_all_are_told(processes: int, chunks: int) -> None:
    told: list[int] = []
    assert shared_out(doubled, range(chunks), processes, told.append) == [2 * chunk for chunk in range(chunks)]
    assert told == sorted(told)
    assert told[-1:] == [chunks] * (chunks > 0)


def test_helper_that_dies_costs_no_result() -> None:
    work: Callable[[int], int] = Fragile()
    assert shared_out(work, range(6), 2, lambda done: None) == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("processes", [1, 2])
def test_fault_in_the_work_is_raised(processes: int) -> None:
    with pytest.raises(ValueError, match="three"):
        shared_out(refused, range(6), processes, lambda done: None)
