"""Rows that come in parts: batches of a stream, chunks of a dask array, and rows under a compressed model."""

import numpy as np

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.compression import compress


def drawn(spectrum, n, seed):
    """Clean rows of 50 columns, and what is seen of them: noise of 10 %, a tenth wrong, a fifth missing."""
    turn = np.linalg.qr(np.random.RandomState(0).standard_normal((50, 50)))[0] * np.sqrt(50)
    space = turn[:, :4] / 2 if spectrum == "sharp" else turn / np.arange(1.0, 51.0) / 1.3
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((n, space.shape[1])) @ space.T
    data = clean + 0.1 * rng.standard_normal(clean.shape)
    wrong = rng.uniform(size=clean.shape) < 0.1
    data[wrong] += 10 * rng.standard_normal(wrong.sum())
    data[rng.uniform(size=clean.shape) < 0.2] = np.nan
    return clean, data


class Stream:
    """A stream that has seen 4,000 rows, and a batch of 200."""

    params = ["sharp", "decaying"]
    param_names = ["spectrum"]
    timeout = 300

    def setup(self, spectrum):
        self.batch = drawn(spectrum, 200, 1)[1]
        self.new = drawn(spectrum, 500, 2)
        self.model = RobustMatrixCompletion(replace="all").partial_fit(drawn(spectrum, 4000, 0)[1])

    def time_batch(self, spectrum):
        self.model.partial_fit(self.batch)

    def peakmem_batch(self, spectrum):
        self.model.partial_fit(self.batch)

    def track_error(self, spectrum):
        """Root mean square error of new rows after the batch."""
        clean, data = self.new
        return float(np.sqrt(np.mean((self.model.partial_fit(self.batch).transform(data) - clean) ** 2)))


class Chunks:
    """A dask array of 60,000 rows in ten chunks."""

    params = ["sharp", "decaying"]
    param_names = ["spectrum"]
    timeout = 600

    def setup(self, spectrum):
        import dask.array as da

        self.clean, data = drawn(spectrum, 60_000, 0)
        self.X = da.from_array(data, chunks=(6_000, 50))

    def time_fit(self, spectrum):
        RobustMatrixCompletion().fit(self.X)

    def peakmem_fit(self, spectrum):
        RobustMatrixCompletion().fit(self.X)

    def track_error(self, spectrum):
        """Root mean square error of all rows."""
        found = RobustMatrixCompletion(replace="all").fit(self.X).transform(self.X)
        return float(np.sqrt(np.mean((found.compute() - self.clean) ** 2)))


class Compression:
    """A model of 2,000 rows in few bits."""

    params = ["float16", "int8", "nf4"]
    param_names = ["dtype"]
    timeout = 300

    def setup(self, dtype):
        self.model = RobustMatrixCompletion().fit(drawn("decaying", 2000, 0)[1])

    def time_compress(self, dtype):
        compress(self.model, dtype, allow_loss=True)

    def peakmem_compress(self, dtype):
        compress(self.model, dtype, allow_loss=True)

    def track_added_error(self, dtype):
        """What estimates change by, in units of the noise."""
        return compress(self.model, dtype, allow_loss=True).added_error

    def track_bytes(self, dtype):
        """Size of the arrays."""
        return compress(self.model, dtype, allow_loss=True).nbytes
