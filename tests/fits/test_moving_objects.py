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
def test_a_scene_is_told_from_what_moves_before_it(texture, levels):
    frames, scene, moved = drawn(texture, levels, 0)
    model = RobustPCA().fit(frames.T)  # one row for each pixel
    assert model.stop_reason_ == "exact" and model.rank_ == 1
    assert model.outliers_.T[moved].mean() > 0.95
    found = model.inverse_transform(model.transform(frames.T)).T
    np.testing.assert_allclose(found, np.broadcast_to(scene, found.shape), atol=1e-8)
    by_frames = RobustMatrixCompletion().fit(frames)
    assert by_frames.stop_reason_ == "exact" and by_frames.outliers_[moved].mean() > 0.85


@pytest.mark.parametrize(("noise", "seed"), [(2.0, 3), (4.0, 1)])
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
@pytest.mark.parametrize("seed", range(2))
def test_values_that_most_of_a_column_has_are_no_scene(seed):
    """Columns that rest at a value of their own in most rows, and vary in the others: these are no errors."""
    rng = np.random.RandomState(seed)
    rest, active = rng.uniform(1.0, 9.0, 12), rng.uniform(size=(300, 12)) < 0.2
    levels = np.round(rest + rng.choice([1.0, 2.0, 3.0], (300, 12)), 1)
    model = RobustMatrixCompletion().fit(np.where(active, levels, rest))
    assert model.stop_reason_ != "exact" and model.outliers_[active].mean() < 0.5


def test_objects_before_a_scene_of_changing_light_are_no_directions():
    """Cells that are next to each other tell them, and a spectrum that holds them decays."""
    rng, (y, x), t = np.random.RandomState(0), np.mgrid[:24, :32], np.arange(120)
    scene = 1.0 + 0.4 * np.sin(x / 5.0 + rng.uniform(0, 6)) * np.cos(y / 4.0 + rng.uniform(0, 6))
    light = 1.0 + 0.2 * np.sin(t / 24.0) + 0.02 * rng.standard_normal(120)
    truth = light[:, None, None] * scene + 0.15 * np.cos(t / 19.0)[:, None, None] * (x / 32.0 * scene)
    frames, moved = truth.copy(), np.zeros(truth.shape, dtype=bool)
    for _ in range(3):
        top, speed, first, level = rng.uniform(4, 18), rng.uniform(0.3, 1.2), rng.uniform(0, 32), rng.choice([0.0, 1.8])
        for i in t:
            inside = (np.abs(x - (first + speed * i) % 40 + 4) < 2.5) & (np.abs(y - top) < 3.0)
            frames[i][inside], moved[i][inside] = level, True
    moved &= np.abs(frames - truth) > 0.1
    data = (frames + 0.01 * rng.standard_normal(frames.shape)).reshape(120, -1)
    model = RobustPCA().fit(data)
    assert model.stop_reason_ == "noisy" and model.rank_ == 2
    found = model.inverse_transform(model.transform(data)).reshape(truth.shape)
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.003
    assert model.outliers_.reshape(truth.shape)[moved].mean() > 0.99
