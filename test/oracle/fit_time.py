"""Times scikit-learn's fit and 10-fold cross-validation of the housing pipeline.

    /tmp/oracle-venv/bin/python test/oracle/fit_time.py [--rows 1000000] [--csv PATH] [--ours]

With --csv the rows come from a file with the 13 columns and MEDV named in its header (either
case); --rows, when given too, takes the first so many. Without, they are generated. With i the
row number from 0 and j the column number (13 features in order, then 13 for the noise):

    u(i, j) = ((i + 1) * (2654435761 + 2 * 40503 * j) mod 2^32) / 2^32
    numerical = low + (high - low) * u       low and high: the Boston data's range
    CHAS = 1 if u < 0.07 else 0              RAD = [1, 2, 3, 4, 5, 6, 7, 8, 24][floor(9 * u)]
    MEDV = 30 + 4 * u(RM) - 8 * u(LSTAT) - 3 * u(PTRATIO) + 2 * CHAS + RAD / 12 + 4 * (u(13) - 0.5)

With --ours the same rows are trained by `npm run train` too, from a CSV file for both, into the
database that the settings name.

Prints one JSON object: rows, read_seconds, fit_seconds, cross_validate_seconds, rss_mb (the
process's peak) and, with --ours, ours_seconds, which also has the export, its comparison with the
fit on every row, and the publication. One process; BLAS threads as the environment has them:
OPENBLAS_NUM_THREADS=1 and `taskset -c 0` for a comparison on one core.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, cross_validate

sys.dont_write_bytecode = True  # no __pycache__ in the repository

from make_fixtures import CATEGORICAL, COLUMNS, NUMERICAL, pipeline

RANGES = {
    "CRIM": (0.00632, 88.9762), "ZN": (0, 100), "INDUS": (0.46, 27.74), "NOX": (0.385, 0.871),
    "RM": (3.561, 8.78), "AGE": (2.9, 100), "DIS": (1.1296, 12.1265), "TAX": (187, 711),
    "PTRATIO": (12.6, 22), "B": (0.32, 396.9), "LSTAT": (1.73, 37.97),
}  # fmt: skip


def generate(rows):
    i = np.arange(1, rows + 1, dtype=np.uint64)

    def u(j):
        factor = np.uint64(2654435761 + 2 * 40503 * j)
        return ((i * factor) & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2**32

    data = {}
    for j, name in enumerate(COLUMNS):
        if name == "CHAS":
            data[name] = (u(j) < 0.07).astype(np.int64)
        elif name == "RAD":
            data[name] = np.array([1, 2, 3, 4, 5, 6, 7, 8, 24])[(9 * u(j)).astype(np.int64)]
        else:
            low, high = RANGES[name]
            data[name] = low + (high - low) * u(j)
    data["MEDV"] = (
        30 + 4 * u(COLUMNS.index("RM")) - 8 * u(COLUMNS.index("LSTAT")) - 3 * u(COLUMNS.index("PTRATIO"))
        + 2 * data["CHAS"] + data["RAD"] / 12 + 4 * (u(13) - 0.5)
    )  # fmt: skip
    return pd.DataFrame(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help="default 1000000, or all of the CSV")
    parser.add_argument("--csv")
    parser.add_argument("--ours", action="store_true", help="train the same file with npm run train as well")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        if options.ours and not options.csv:
            options.csv = os.path.join(directory, "rows.csv")
            generate(options.rows or 1_000_000).to_csv(options.csv, index=False)
        ours = {"ours_seconds": train_ours(options.csv)} if options.ours else {}
        print(json.dumps({**time_sklearn(options), **ours}))


def train_ours(csv):
    command = ["npm", "run", "--silent", "train", "--", "--json", "--data", os.path.abspath(csv)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])["duration_ms"] / 1000


def time_sklearn(options):
    start = time.perf_counter()
    if options.csv:
        frame = pd.read_csv(options.csv, nrows=options.rows)
        frame.columns = frame.columns.str.upper()
    else:
        frame = generate(1_000_000 if options.rows is None else options.rows)
    X, y = frame[COLUMNS], frame["MEDV"]
    read_seconds = time.perf_counter() - start

    start = time.perf_counter()
    pipeline(NUMERICAL, CATEGORICAL, 1).fit(X, y)
    fit_seconds = time.perf_counter() - start

    start = time.perf_counter()
    cross_validate(
        pipeline(NUMERICAL, CATEGORICAL, 1),
        X,
        y,
        cv=KFold(10, shuffle=True, random_state=0),
        scoring=("neg_root_mean_squared_error", "neg_mean_absolute_error", "r2"),
        error_score="raise",
    )
    cross_validate_seconds = time.perf_counter() - start

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return {
        "rows": len(X),
        "read_seconds": round(read_seconds, 4),
        "fit_seconds": round(fit_seconds, 4),
        "cross_validate_seconds": round(cross_validate_seconds, 4),
        "rss_mb": round(peak_mb, 1),
    }


if __name__ == "__main__":
    main()
