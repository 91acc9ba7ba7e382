"""
How well the cause of a run's end is found: on the half of the corpus that was kept aside from the rules.

    .venv/bin/python -m tests.bench.run_causes [known|aside|issues]

Prints the macro-F1 beside two simpler ways, the confusion table, and the time that a run takes. The simpler
ways are exit codes alone, with the kind that an end most often had in the half that the rules were written
from, and keywords without order: the kind of which most needles of the table stand in the log.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter, defaultdict

from gpuwatch_tray.runs import Exited, Kind
from gpuwatch_tray.runs.log_errors import SIGNS
from tests.runs.corpus import f1, macro_f1, read_corpus

ROUNDS = 5


def learn_exits(records):
    """Return the kind that each end has most often."""
    seen = defaultdict(Counter)
    for record in records:
        seen[record.end][record.label] += 1
    return {end: kinds.most_common(1)[0][0] for end, kinds in seen.items()}


def by_keywords(record):
    """Return the kind of which most needles are in the log; an exit code of 0 is a success."""
    if record.end == Exited(0):
        return Kind.SUCCESS
    log = record.log.lower()
    hits = Counter()
    for sign in SIGNS:
        hits[sign.kind] += sum(log.count(needle) for needle in sign.needles)
    kind, count = hits.most_common(1)[0]
    return kind if count else Kind.UNKNOWN


def print_confusion(pairs):
    """Print a row for each kind as labelled, a column for each as said; the diagonal is right."""
    kinds = list(Kind)
    counts = Counter(pairs)
    print(f"\n{'labelled, said':>18} " + "".join(f"{place:>3}" for place in range(len(kinds))) + "   F1")
    for place, right in enumerate(kinds):
        row = "".join(f"{counts[right, said] or '.':>3}" for said in kinds)
        print(f"{right:>15} {place:>2} {row}  {f1(pairs, right):.2f}")


def main() -> None:
    """Print all of it."""
    half = sys.argv[1] if len(sys.argv) > 1 else "aside"
    records, known = read_corpus(half), read_corpus("known")
    exits = learn_exits(known)
    said = [(record.label, record.explain().kind) for record in records]
    wrong = sum(right is not kind for right, kind in said)
    healthy = sum(right is Kind.SUCCESS and kind is not Kind.SUCCESS for right, kind in said)
    made = sum(record.origin.startswith("made: ") for record in records)
    print(
        f"{half}: {len(records)} runs, {made} of them made, {len({record.label for record in records})} kinds"
    )
    ways = {
        "this program": said,
        "exit codes alone": [(record.label, exits.get(record.end, Kind.UNKNOWN)) for record in records],
        "keywords without order": [(record.label, by_keywords(record)) for record in records],
    }
    for way, pairs in ways.items():
        print(f"{way:>24}  macro-F1 {macro_f1(pairs):.3f}")
    print(f"{'':>24}  {wrong} wrong, {healthy} healthy runs called failed")
    print_confusion(said)
    times = []
    for _ in range(ROUNDS):
        for record in records:
            began = time.thread_time()
            record.explain()
            times.append(time.thread_time() - began)
    median, most = statistics.median(times) * 1e3, max(times) * 1e3
    print(f"\nof the processor a run takes {median:.2f} ms (median), at most {most:.1f} ms")


if __name__ == "__main__":
    main()
