"""The package's weights against a conversion that was checked by its top-1 classes."""

from pathlib import Path

import numpy as np
import pytest

from detector.pretrained import CONVERTED_DIGEST, digest, package_arrays

SHARED = Path(__file__).parents[2].parent / "shared" / "weights" / "efficientnet_lite0_notop.npz"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_package_converts_to_the_checked_arrays() -> None:
    if not SHARED.exists():
        pytest.skip("the checked arrays are not on this machine")
    arrays = package_arrays()
    with np.load(SHARED) as checked:
        assert sorted(arrays) == sorted(checked)
        for name in checked:
            np.testing.assert_array_equal(arrays[name], checked[name])
            assert arrays[name].dtype == checked[name].dtype


def test_package_converts_to_the_pinned_digest() -> None:
    arrays = package_arrays()
    assert digest(arrays) == CONVERTED_DIGEST
    # 2,998,304 values in 240 arrays, as the checked conversion's page says.
    assert (len(arrays), sum(array.size for array in arrays.values())) == (240, 2_998_304)
    # The second time from the cache.
    assert digest(package_arrays()) == CONVERTED_DIGEST
