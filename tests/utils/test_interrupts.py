"""Ctrl-C: control comes back within a second, and the process stays sane."""

import os
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
import os, signal, threading, time
import numpy as np
from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
options = {options}
small = make_corrupted_matrix((60, 40), rank=2, outliers=0.2, noise=0.1, random_state=0).data
hopeless = np.random.RandomState(0).standard_cauchy((1200, 300))  # rows on which random starts are tried in vain
sensing = make_measurements(3000, (40, 40), 2, outliers=0.3, noise=0.1, random_state=0)
work = [
    lambda: RobustMatrixCompletion(**options).fit(small),
    lambda: RobustPCA(**options).fit(hopeless),
    lambda: RobustLowRankRecovery(shape=(40, 40), **options).fit(sensing.data, sensing.target),
]
before = work[0]()
for task in work:
    RobustPCA(**options).fit(small)  # compiled
    for delay in (0.02, 0.8):
        timer = threading.Timer(delay, lambda: (sent.append(time.perf_counter()), os.kill(os.getpid(), signal.SIGINT)))
        sent = []
        timer.start()
        try:
            while True:
                task()
        except KeyboardInterrupt:
            print(time.perf_counter() - sent[0])
        timer.join()
# while a pool of threads is made
start, sent = threading.Thread.start, []
def start_or_interrupt(thread):
    if not sent and "_handle_results" in thread.name:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    start(thread)
threading.Thread.start = start_or_interrupt
try:
    work[0]()
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
threading.Thread.start = start
assert np.array_equal(work[0]().left_, before.left_)
time.sleep(0.5)
assert threading.active_count() <= 3, threading.enumerate()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process of its own on Windows")
@pytest.mark.parametrize(
    "options", [pytest.param("{}", marks=pytest.mark.slow), "{'n_init': 8, 'n_jobs': 2, 'random_state': 0}"]
)
def test_interrupt_returns_control_within_a_second_and_leaves_the_process_sane(options):
    code = textwrap.dedent(SCRIPT).replace("{options}", options)
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    seconds = [float(line) for line in run.stdout.split()]
    assert len(seconds) == 6 + ("n_jobs" in options) and max(seconds) < 1.0, seconds


COLD = """
import os, signal, threading, time
import numba
from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
problem = make_measurements(shape=(8, 6), rank=1, outliers=0.2, random_state=0)
model = RobustLowRankRecovery(shape=(8, 6), polish=False)
sent, compiled = [], []

class Watch(numba.core.event.Listener):
    def on_start(self, event):
        if not sent:
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

    def on_end(self, event):
        compiled.append(time.perf_counter())

numba.core.event.register("numba:compile", Watch())
try:
    model.fit(problem.data, problem.target)
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0], bool(compiled))
model.fit(problem.data, problem.target)
assert model.rank_ == 1 and model.score(problem.data, problem.clean_target) > 0.99
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process of its own on Windows")
def test_interrupt_while_a_kernel_is_compiled(tmp_path):
    """Control returns at once, and the compiler, which goes on, is not left broken."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, timeout=120, env=environment)
    assert run.returncode == 0, run.stderr
    seconds, compiled = run.stdout.split()
    assert float(seconds) < 1.0 and compiled == "False"
