"""Makes fixtures/column_types.json: the types that pandas finds in the columns of CSV files.

    /tmp/oracle-venv/bin/python test/oracle/make_column_types.py

The set-up is that of make_fixtures.py. `files` has for each file its target and, for every other column, over the rows that
have a target: dtype, nullable, and the sorted categories of a text. `columns` are made up: their cells and the dtype.
pandas is told to keep whole numbers whole beside missing ones (dtype_backend="numpy_nullable"), and takes the spellings of
src/training/csv-missing.ts for missing, which are a part of its own.
"""

import io
import sys

import pandas as pd

sys.dont_write_bytecode = True  # no __pycache__ in the repository

from make_fixtures import ROOT, VERSIONS, write_object

MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
DTYPES = {"Int64": "int64", "Float64": "float64", "boolean": "bool", "string": "string"}

FILES = {
    "examples/penguins.csv": "body_mass_g",
    "test/oracle/fixtures/penguins_raw.csv": "Body Mass (g)",
    "test/oracle/fixtures/diabetes.csv": "target",
    "test/oracle/fixtures/grunfeld.csv": "invest",
}

COLUMNS = [
    ["1", "2", "-3"],
    ["1", "2.0"],
    ["1e3", "2"],
    ["1", "", "2"],
    ["1.5", "NA", "2", "null"],
    [".5", "5.", "+1"],
    ["9007199254740991", "1"],
    ["True", "false", "TRUE"],
    ["true", "NA", "False"],
    ["true", "1"],
    ["yes", "no"],
    ["a", "None", "<NA>", "b"],
    ["0", "1"],
    ["12", "?"],
    ["1_000", "2"],
    ["1 2", "3"],
    ["é", "😀", "\uff5e", "Z", "a"],
]


def read(source):
    return pd.read_csv(source, dtype_backend="numpy_nullable", keep_default_na=False, na_values=MISSING)


def describe(series):
    dtype = DTYPES[str(series.dtype)]
    categories = sorted(series.dropna().unique()) if dtype == "string" else None
    return {"dtype": dtype, "nullable": bool(series.isna().any()), "categories": categories}


def of_file(path, target):
    frame = read(ROOT / path)
    frame = frame[frame[target].notna()]
    return {"target": target, "columns": {name: describe(frame[name]) for name in frame if name != target}}


def of_cells(cells):
    frame = read(io.StringIO("a,y\n" + "".join(f"{cell},1\n" for cell in cells)))
    return {"cells": cells, **describe(frame["a"])}


if __name__ == "__main__":
    write_object(
        "column_types.json",
        {
            "versions": {**VERSIONS, "pandas": pd.__version__},
            "files": {path: of_file(path, target) for path, target in FILES.items()},
            "columns": [of_cells(cells) for cells in COLUMNS],
        },
    )
