"""Generators and loaders: what they return and refuse."""

import hashlib
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr import datasets, metrics, model_selection
from sklearn_robustlr.datasets import OUTLIER_KINDS, corrupt, make_corrupted_matrix, make_measurements


@pytest.mark.parametrize("kind", OUTLIER_KINDS)
def test_corrupt(kind, rng):
    values = rng.standard_normal(20000)
    bad, mask = corrupt(values, 0.2, kind, random_state=0)
    assert abs(mask.mean() - 0.2) < 0.02
    assert_allclose(bad[~mask], values[~mask], rtol=0, atol=0)
    moved = bad[mask] - values[mask]
    assert np.all(moved != 0)
    size = np.abs(moved) / values.std()
    if kind == "huge":
        assert size.min() >= 5 and size.max() <= 15 and (moved > 0).any() and (moved < 0).any()
    elif kind == "one-sided":
        assert moved.min() > 0
    elif kind == "same-size":
        assert size.min() + 1e-12 >= 0.5 and size.max() <= 1.5 + 1e-12
    elif kind == "sign-flip":
        assert_allclose(bad[mask], -values[mask])
    elif kind == "stuck":
        assert np.unique(bad[mask]).size == 1


def test_make_measurements_tells_the_truth():
    p = make_measurements(500, (8, 6), 2, condition=4, outliers=0.1, random_state=0)
    s = np.linalg.svd(p.coef, compute_uv=False)
    assert_allclose(s[0] / s[1], 4)
    assert s[2] < 1e-12 * s[0]
    assert_allclose(p.clean_target, p.data @ p.coef.ravel())
    assert_allclose(p.target[~p.outliers], p.clean_target[~p.outliers])


def test_rank_one_rows_and_default_size():
    p = make_measurements(shape=(7, 5), rank=2, ensemble="rank_one", outliers=0, random_state=0)
    assert p.data.shape == (6 * 2 * 10, 12)
    assert_allclose(p.target, [row[:7] @ p.coef @ row[7:] for row in p.data])


def test_symmetric_truth_is_positive_semi_definite():
    p = make_measurements(10, (6, 6), 2, symmetric=True, random_state=0)
    assert_allclose(p.coef, p.coef.T)
    assert np.linalg.eigvalsh(p.coef).min() > -1e-12


def test_make_corrupted_matrix():
    p = make_corrupted_matrix((100, 80), 3, observed=0.5, sampling="uneven", mean=2.0, random_state=0)
    assert abs(p.observed.mean() - 0.5) < 0.02
    rates = p.observed.mean(axis=1)
    assert rates.max() > 2 * rates.min()
    assert np.isnan(p.data[~p.observed]).all()
    inlier = p.observed & ~p.outliers
    assert_allclose(p.data[inlier], p.clean[inlier])
    assert np.linalg.matrix_rank(p.clean - 2.0) == 3


@pytest.mark.parametrize(
    ("function", "parameters", "message"),
    [
        (make_measurements, {"rank": 0}, "rank must be"),
        (make_measurements, {"shape": 5}, "shape must be a pair"),
        (make_measurements, {"ensemble": "binary"}, "ensemble must be one of"),
        (make_measurements, {"outliers": 1.0}, "outliers must be"),
        (make_measurements, {"noise": -1}, "noise must be"),
        (make_measurements, {"condition": 0.5}, "condition must be"),
        (make_measurements, {"n_measurements": 0}, "n_measurements must be"),
        (make_measurements, {"shape": (3, 4), "symmetric": True}, "square"),
        (make_measurements, {"symmetric": "a"}, "symmetric must be"),
        (make_corrupted_matrix, {"mean": np.nan}, "mean must be"),
        (make_corrupted_matrix, {"observed": 1.5}, "observed must be"),
        (make_corrupted_matrix, {"sampling": "blocks"}, "sampling must be"),
        (make_corrupted_matrix, {"leverage": "odd"}, "leverage must be"),
        (make_corrupted_matrix, {"outlier_kind": "mild"}, "outlier_kind must be one of"),
    ],
)
def test_generators_refuse(function, parameters, message):
    with pytest.raises(ValueError, match=message):
        function(**parameters)


def test_public_names_exist():
    for module in (datasets, metrics, model_selection):
        for name in module.__all__:
            assert getattr(module, name) is not None


FRAMES = np.zeros((3, 2, 2), dtype=np.uint8)


@pytest.fixture
def expected_frames(monkeypatch):
    """Frames that are taken for those of the street camera, which are not ours to bundle."""
    monkeypatch.setattr(datasets, "_STREET_SHA256", hashlib.sha256(FRAMES.tobytes()).hexdigest())
    return FRAMES


def test_street_camera_is_verified(tmp_path, monkeypatch, request):
    monkeypatch.setenv("SKLEARN_ROBUSTLR_DATA", str(tmp_path))
    with pytest.raises(OSError, match=r"street\.npz was not found in"):
        datasets.fetch_street_camera()
    np.savez_compressed(tmp_path / "street.npz", frames=FRAMES)
    with pytest.raises(ValueError, match="does not hold the expected frames"):
        datasets.fetch_street_camera()
    frames = request.getfixturevalue("expected_frames")
    assert_array_equal(datasets.fetch_street_camera(data_home=tmp_path).frames, frames)


def test_street_camera_refuses_other_contents_and_links_out_of_its_folder(tmp_path, expected_frames):
    """Whatever lies in the data folder: one ValueError, no pickle is opened, no file outside is read."""
    inside, path = tmp_path / "data", tmp_path / "data" / "street.npz"
    inside.mkdir()
    frames = expected_frames
    opened = []

    class Trap:
        def __reduce__(self):
            return opened.append, (1,)

    def write(**arrays):
        np.savez_compressed(path, **arrays)
        return path.read_bytes()

    good = write(frames=frames)
    contents = [
        b"", b"no archive", good[:-30], good.replace(b"frames.npy", b"../out.npy"), pickle.dumps(Trap()),
        write(other=frames), write(frames=np.array([Trap()], dtype=object)), write(frames=frames.astype(np.int16) + 1),
    ]  # fmt: skip
    np.save(tmp_path / "one.npy", frames)
    for content in [*contents, (tmp_path / "one.npy").read_bytes()]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="does not hold the expected frames"):
            datasets.fetch_street_camera(data_home=inside)
    assert not opened
    outside = tmp_path / "street.npz"
    outside.write_bytes(good)
    path.unlink()
    try:
        path.symlink_to(outside)
    except OSError:  # Windows lets only some users make links
        path.write_bytes(good)
    else:
        with pytest.raises(ValueError, match="leads out of the data folder"):
            datasets.fetch_street_camera(data_home=inside)
        path.unlink()
        path.write_bytes(good)
        inside = tmp_path / "link"
        inside.symlink_to(path.parent)  # the folder itself may be elsewhere
    assert_array_equal(datasets.fetch_street_camera(data_home=inside).frames, frames)


@pytest.mark.parametrize("observed", [0.3, 0.95, 0.99, 1.0])
def test_the_share_that_is_seen_is_as_asked(observed):
    seen = make_corrupted_matrix((300, 300), observed=observed, sampling="uneven", random_state=0).observed
    assert abs(seen.mean() - observed) < 0.003
