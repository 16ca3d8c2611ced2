"""Our estimator against one peer after the other on one problem, in a process that can be ended.

The process draws the problem once, fits ours, and then alternates ours and the peer, so that both sides of a ratio meet
the same load of the computer. A run beyond the limit ends the process; a new one goes on with the next peer.
"""

import multiprocessing
import statistics
import traceback
from dataclasses import dataclass, field

from peers import Ours, run_once, run_to_target
from problems import make_problem

# Longest time in seconds that drawing a problem, the first fits and a warm-up may take; side of the warm-up problem.
_PATIENCE = 900
_SMALL = 40


@dataclass
class Case:
    """A problem by the arguments of `make_problem`, and the error that counts as reached."""

    title: str
    kind: str
    options: dict
    target: float


@dataclass
class Outcome:
    """Pairs of seconds (ours, theirs); `error` of the method; `failure` where it was not done."""

    method: str
    yardstick: bool = False
    pairs: list = field(default_factory=list)
    error: float = float("inf")
    failure: str = ""

    @property
    def seconds(self):
        return statistics.median(theirs for _, theirs in self.pairs)

    @property
    def ratio(self):
        """Median of theirs / ours."""
        return statistics.median(theirs / ours for ours, theirs in self.pairs)


@dataclass
class Report:
    """What a race showed: ours (first fit of the process, fits after it, error, rank), and each method."""

    case: Case
    first: float = float("nan")
    ours: list = field(default_factory=list)
    error: float = float("inf")
    rank: int = 0
    outcomes: list = field(default_factory=list)

    @property
    def seconds(self):
        return statistics.median(self.ours)


def _small(case):
    """A problem of the same kind that warms a method up."""
    options = {**case.options, "size": _SMALL, "rank": 1, "outliers": 0.1, "seed": 1}
    if options.get("m"):
        options["m"] = 20 * _SMALL
    return make_problem(case.kind, **options)


def _run(send, case, methods, pairs, limit, memory):
    """The process: messages are (name of a field, value)."""
    if memory:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (int(memory * 2**30),) * 2)
    problem = make_problem(case.kind, **case.options)
    ours = Ours(case.kind)
    send(("first", ours.fit(problem)))
    send(("ours", [ours.fit(problem) for _ in range(1 if methods else pairs)]))
    send(("fitted", (ours.error(problem), ours.rank)))
    small = _small(case)
    for method in methods:
        try:
            run_to_target(method, small, case.target, 1.0)
            left, tolerance = pairs, None
            while left:
                mine = ours.fit(problem)
                send(("start", method.name))
                if tolerance is None:
                    tick = lambda name=method.name: send(("start", name))  # noqa: E731
                    theirs, error, tolerance = run_to_target(method, problem, case.target, limit, tick)
                else:
                    theirs, error = run_once(method, problem, tolerance, case.target, limit)
                send(("pair", (mine, theirs, error)))
                # one pair says enough where the method misses, or either is slow
                missed = not method.yardstick and not error <= case.target
                left = 0 if missed or max(mine, theirs) > limit / pairs else left - 1
        except MemoryError:
            send(("failure", f"more than {memory:.0f} GB of memory"))
        except Exception:
            send(("failure", traceback.format_exc().strip().splitlines()[-1]))
        send(("done", method.name))
    send(("end", None))


def _child(connection, *args):
    _run(connection.send, *args)


def race(case, methods, *, pairs=5, limit=60.0, memory=None):
    """Race ours against the methods; none of their runs lasts beyond `limit` seconds, nor takes `memory` GB."""
    context = multiprocessing.get_context("spawn")
    report = Report(case)
    left = list(methods)
    while True:
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(send, case, left, pairs, limit, memory), daemon=True)
        process.start()
        send.close()
        outcome, patience, ended, late = None, _PATIENCE, False, False
        while not ended:
            try:
                kind, value = receive.recv() if receive.poll(patience) else ("late", None)
            except EOFError:
                kind, value = "died", None
            patience = _PATIENCE
            if kind in ("first", "ours"):
                if not report.ours:
                    setattr(report, kind, value)
            elif kind == "fitted":
                report.error, report.rank = value
            elif kind == "start":
                # longer than the limit: generators stop at it by themselves, and report their error
                patience = 1.2 * limit + 5.0
                outcome = outcome or Outcome(value, left[0].yardstick)
            elif kind == "pair":
                *pair, outcome.error = value
                outcome.pairs.append(tuple(pair))
                report.ours.append(pair[0])
            elif kind == "failure":
                outcome = outcome or Outcome(left[0].name, left[0].yardstick)
                outcome.failure = value
            elif kind == "done":
                report.outcomes.append(outcome)
                left.pop(0)
                outcome = None
            elif kind == "end":
                ended = True
            else:  # late or died
                if not left or not report.ours:
                    process.kill()
                    raise RuntimeError(f"{case.title}: our own fit came to no end")
                outcome = outcome or Outcome(left[0].name, left[0].yardstick)
                outcome.failure = f"not done in {limit:.0f} s" if kind == "late" else "the process died"
                report.outcomes.append(outcome)
                left.pop(0)
                ended = late = True
        if late:
            process.kill()
        process.join()
        if not left:
            return report
