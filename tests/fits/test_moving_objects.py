"""Video: what moves before a scene is errors, though it is there for a while, and its values keep coming back."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA

FRAMES, HEIGHT, WIDTH, SIDE = 50, 24, 30, 6


def drawn(texture, levels, seed):
    """Frames, the scene behind them, and where the object is and differs from the scene."""
    rng = np.random.RandomState(seed)
    scene = 0.2 + 0.5 * rng.uniform(size=(HEIGHT, WIDTH))
    thing = rng.uniform(size=(SIDE, SIDE)) if texture else np.full((SIDE, SIDE), 0.95)
    if levels:
        scene, thing = np.round(scene * levels) / levels, np.round(thing * levels) / levels
    frames, top = np.repeat(scene[None], FRAMES, axis=0), rng.randint(HEIGHT - SIDE)
    moved = np.zeros(frames.shape, dtype=bool)
    for t in range(FRAMES):
        left = (WIDTH - SIDE) * t // FRAMES
        place = t, slice(top, top + SIDE), slice(left, left + SIDE)
        frames[place], moved[place] = thing, True
    moved &= abs(frames - scene) > 0.1
    return frames.reshape(FRAMES, -1), scene.ravel(), moved.reshape(FRAMES, -1)


@pytest.mark.parametrize("levels", [0, 255])
@pytest.mark.parametrize("texture", [True, False], ids=["textured", "plain"])
@pytest.mark.parametrize("seed", range(2))
def test_a_scene_is_told_from_what_moves_before_it(texture, levels, seed):
    frames, scene, moved = drawn(texture, levels, seed)
    model = RobustPCA().fit(frames.T)  # one row for each pixel
    assert model.stop_reason_ == "exact" and model.rank_ == 1
    assert model.outliers_.T[moved].mean() > 0.95
    found = model.inverse_transform(model.transform(frames.T)).T
    np.testing.assert_allclose(found, np.broadcast_to(scene, found.shape), atol=1e-8)
    by_frames = RobustMatrixCompletion().fit(frames)
    assert by_frames.stop_reason_ == "exact" and by_frames.outliers_[moved].mean() > 0.85


@pytest.mark.parametrize(("noise", "seed"), [(2.0, 0), (2.0, 3), (4.0, 1)])
def test_an_object_that_moves_slowly_is_no_direction(noise, seed):
    """It covers pixels for some twenty frames, fewer entries than a direction has degrees of freedom."""
    rng, across, down = np.random.RandomState(seed), np.arange(32), np.arange(24)[:, None]
    light = 1.0 + 0.1 * np.cos(np.arange(80) / 10.0)[:, None, None]
    scene = (100.0 + 40.0 * np.sin(across / 5.0) + 30.0 * np.cos(down / 4.0)) * light
    frames = scene + noise * rng.standard_normal(scene.shape)
    for t in range(80):
        top, left = 8 + int(3.0 * np.sin(t / 6.0)), 26 * t // 80
        frames[t, top : top + 8, left : left + 6] = 220.0 + 3.0 * rng.standard_normal((8, 6))
    frames, scene = frames.reshape(80, -1), scene.reshape(80, -1)
    model = RobustPCA(1).fit(frames)
    assert model.rank_ == 1
    found = model.inverse_transform(model.transform(frames))
    assert np.sqrt(np.mean((found - scene) ** 2)) < 0.2 * noise


@pytest.mark.filterwarnings("ignore:RobustMatrixCompletion did not converge")
@pytest.mark.parametrize("seed", range(3))
def test_values_that_most_of_a_column_has_are_no_scene(seed):
    """Columns that rest at a value of their own in most rows, and vary in the others: these are no errors."""
    rng = np.random.RandomState(seed)
    rest, active = rng.uniform(1.0, 9.0, 12), rng.uniform(size=(300, 12)) < 0.2
    levels = np.round(rest + rng.choice([1.0, 2.0, 3.0], (300, 12)), 1)
    model = RobustMatrixCompletion().fit(np.where(active, levels, rest))
    assert model.stop_reason_ != "exact" and model.outliers_[active].mean() < 0.5
