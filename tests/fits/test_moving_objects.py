"""Video without noise: what moves before a scene that does not is errors, though its values keep coming back."""

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


@pytest.mark.filterwarnings("ignore:RobustMatrixCompletion did not converge")
@pytest.mark.parametrize("seed", range(3))
def test_values_that_most_of_a_column_has_are_no_scene(seed):
    """Columns that rest at a value of their own in most rows, and vary in the others: these are no errors."""
    rng = np.random.RandomState(seed)
    rest, active = rng.uniform(1.0, 9.0, 12), rng.uniform(size=(300, 12)) < 0.2
    levels = np.round(rest + rng.choice([1.0, 2.0, 3.0], (300, 12)), 1)
    model = RobustMatrixCompletion().fit(np.where(active, levels, rest))
    assert model.stop_reason_ != "exact" and model.outliers_[active].mean() < 0.5
