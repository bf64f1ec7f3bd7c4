"""Makes parity fixtures of declared data sets, with texts and missing values, from real scikit-learn.

    penguins.json      examples/penguins.csv: texts, one of them missing at times      CC0 (palmerpenguins)
    penguins_raw.json  more columns of the same birds, numbers missing among them      CC0 (palmerpenguins)
    diabetes.json      ten numbers, nothing missing                                    BSD-3-Clause (scikit-learn)
    grunfeld.json      a text of eleven firms, whole numbers                           public domain (statsmodels)
    every_type.json    made up: every type, missing in every way that can be declared

The CSV files of the same names beside them are what the rows were read from. The set-up is that of make_fixtures.py and

    /tmp/oracle-venv/bin/pip install palmerpenguins==0.1.6 statsmodels==0.15.0
    /tmp/oracle-venv/bin/python test/oracle/make_declared_fixtures.py

Each fixture has the features as a features file declares them, `rows` of values in that order (null where one is
missing) with their targets `y`, `new_rows` with nulls and unknown categories, `folds`, and for each alpha the answers:
`predictions` for rows, `new_predictions` for new_rows, `out_of_fold` of cross_val_predict with the folds.
"""

import sys

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

sys.dont_write_bytecode = True  # no __pycache__ in the repository

from make_fixtures import FIXTURES, ROOT, VERSIONS, write_object

ALPHAS = (0.1, 1, 100)
FOLDS = 5

rng = np.random.default_rng(20260101)


# --- The pipeline that a declaration stands for -------------------------------------------------


def is_categorical(feature):
    return feature.get("kind") == "categorical" or feature["dtype"] in ("string", "bool")


def imputer(feature):
    """null_as if declared, else the mean or a category of its own."""
    if "null_as" in feature:
        value = feature["null_as"]
        return SimpleImputer(strategy="constant", fill_value=value if isinstance(value, str) else float(value))
    if not is_categorical(feature):
        return SimpleImputer(strategy="mean", keep_empty_features=True)
    own = "(nothing)" if feature["dtype"] == "string" else 2.0**53
    return SimpleImputer(strategy="constant", fill_value=own)


def encoder(feature):
    known = "auto"
    if "categories" in feature:
        filled = imputer(feature).fill_value
        values = feature["categories"] + ([filled] if filled not in feature["categories"] else [])
        known = [values if feature["dtype"] == "string" else sorted(map(float, values))]
    return OneHotEncoder(handle_unknown="ignore", categories=known)


def pipeline(features, alpha):
    """A part a column, so that every column may be declared in its own way."""
    parts = [
        (f"f{k}", make_pipeline(imputer(one), encoder(one) if is_categorical(one) else StandardScaler()), [k])
        for k, one in enumerate(features)
    ]
    # Dense, so that Ridge takes its exact Cholesky solver: see make_fixtures.py.
    return make_pipeline(ColumnTransformer(parts, sparse_threshold=0), Ridge(alpha=alpha))


def usual_pipeline(features, alpha):
    """What people write: one part for the numbers, one for the texts."""
    numerical = [k for k, one in enumerate(features) if not is_categorical(one)]
    texts = [k for k, one in enumerate(features) if is_categorical(one)]
    assert all(features[k]["dtype"] == "string" for k in texts)
    parts = [("numerical", make_pipeline(SimpleImputer(), StandardScaler()), numerical)]
    if texts:
        missing = SimpleImputer(strategy="constant", fill_value="missing")
        parts.append(("texts", make_pipeline(missing, OneHotEncoder(handle_unknown="ignore")), texts))
    return make_pipeline(ColumnTransformer(parts, sparse_threshold=0), Ridge(alpha=alpha))


def frame(features, rows):
    """Rows of values as pandas has them: floats, or objects for texts, NaN where a value is missing."""
    columns = {}
    for k, feature in enumerate(features):
        values = [np.nan if row[k] is None else row[k] for row in rows]
        columns[k] = pd.Series(values, dtype=object if feature["dtype"] == "string" else np.float64)
    return pd.DataFrame(columns)


def answers(features, rows, y, new_rows, folds, alpha, make):
    X, new = frame(features, rows), frame(features, new_rows)
    model = make(features, alpha).fit(X, y)
    assert model[1].solver_ == "cholesky"
    cv = [(np.setdiff1d(np.arange(len(y)), fold), fold) for fold in folds]
    return {
        "predictions": model.predict(X).tolist(),
        "new_predictions": model.predict(new).tolist(),
        "out_of_fold": cross_val_predict(make(features, alpha), X, y, cv=cv).tolist(),
    }


def fixture(name, source, features, target, rows, y, make, new_rows=None):
    order = rng.permutation(len(y))
    folds = [np.sort(order[held_out]) for _, held_out in KFold(n_splits=FOLDS).split(order)]
    rows = rows(folds) if callable(rows) else rows
    new_rows = new_rows_for(features, rows) if new_rows is None else new_rows
    alphas = {str(alpha): answers(features, rows, y, new_rows, folds, alpha, make) for alpha in ALPHAS}
    write_object(
        f"{name}.json",
        {
            "versions": VERSIONS,
            "source": source,
            "features": features,
            "target": target,
            "rows": rows,
            "y": y.tolist(),
            "new_rows": new_rows,
            "folds": [fold.tolist() for fold in folds],
            "alphas": alphas,
        },
    )


def new_rows_for(features, rows):
    """Rows of the data, then with each feature unknown or null, alone and all at once."""

    def unknown(feature):
        closed = feature.get("unknown") == "refuse"
        return {"string": "Atlantis", "int64": 987654}.get(feature["dtype"]) if not closed else None

    def change(how):
        picked = list(rows[rng.integers(len(rows))])
        for k, value in how:
            picked[k] = value
        return picked

    strange = [(k, unknown(one)) for k, one in enumerate(features) if is_categorical(one) and unknown(one)]
    nulls = [(k, None) for k, one in enumerate(features) if one.get("nullable")]
    far = [(k, 1e6) for k, one in enumerate(features) if one["dtype"] == "float64"]
    return [change(how) for how in [[], far, strange, nulls, [*strange, *nulls], *([one] for one in strange + nulls)]]


# --- Data sets ----------------------------------------------------------------------------------


def values_of(table, features):
    """The table's values as JSON has them."""

    def value(feature, cell):
        if pd.isna(cell):
            return None
        return {"string": str, "float64": float, "int64": int}[feature["dtype"]](cell)

    return [
        [value(one, cell) for one, cell in zip(features, row)]
        for row in table[[one["name"] for one in features]].itertuples(index=False)
    ]


def declare(table, names):
    """Features as they are derived from a table: texts with their categories, `nullable` where something is missing."""
    features = []
    for name in names:
        column = table[name]
        feature = {"name": name, "dtype": "string" if column.dtype == object else "float64"}
        if column.dtype.kind == "i":
            feature["dtype"] = "int64"
        if column.isna().any():
            feature["nullable"] = True
        if feature["dtype"] == "string":
            feature["categories"] = sorted(column.dropna().unique())
            if "nullable" in feature:
                feature["null_as"] = "missing"
        features.append(feature)
    return features


def table_fixture(name, source, table, target, names):
    """Declared by all rows, trained on those with a target."""
    features = declare(table, names)
    table = table[table[target].notna()]
    y = table[target].to_numpy(np.float64)
    fixture(name, source, features, target, values_of(table, features), y, usual_pipeline)


def read(path):
    table = pd.read_csv(path)
    return table.astype({name: object for name in table if not pd.api.types.is_numeric_dtype(table[name])})


def penguins():
    names = "species island bill_length_mm bill_depth_mm flipper_length_mm sex year".split()
    table_fixture("penguins", "palmerpenguins, CC0", read(ROOT / "examples/penguins.csv"), "body_mass_g", names)


def penguins_raw():
    from palmerpenguins import load_penguins_raw

    load_penguins_raw().to_csv(FIXTURES / "penguins_raw.csv", index=False, na_rep="NA")
    names = [
        "studyName", "Sample Number", "Species", "Island", "Stage", "Clutch Completion", "Culmen Length (mm)",
        "Culmen Depth (mm)", "Flipper Length (mm)", "Sex", "Delta 15 N (o/oo)", "Delta 13 C (o/oo)", "Comments",
    ]  # fmt: skip
    table = read(FIXTURES / "penguins_raw.csv")
    table_fixture("penguins_raw", "palmerpenguins, CC0", table, "Body Mass (g)", names)


def diabetes():
    table = load_diabetes(as_frame=True, scaled=False).frame
    table.to_csv(FIXTURES / "diabetes.csv", index=False)
    names = list(table.columns[:-1])
    table_fixture("diabetes", "scikit-learn, BSD-3-Clause", read(FIXTURES / "diabetes.csv"), "target", names)


def grunfeld():
    from statsmodels.datasets import grunfeld as source

    source.load_pandas().data.astype({"year": int}).to_csv(FIXTURES / "grunfeld.csv", index=False)
    table = read(FIXTURES / "grunfeld.csv")
    table_fixture("grunfeld", "statsmodels, public domain", table, "invest", ["value", "capital", "firm", "year"])


def every_type():
    features = [
        {"name": "size", "dtype": "float64"},
        {"name": "Rooms (total)", "dtype": "int64", "nullable": True},
        {"name": "floor", "dtype": "int64", "kind": "categorical", "nullable": True},
        {"name": "class", "dtype": "int64", "kind": "categorical", "categories": [1, 2, 3], "nullable": True, "null_as": 2},
        {"name": "lift", "dtype": "bool"},
        {"name": "garden", "dtype": "bool", "nullable": True},
        {"name": "balcony", "dtype": "bool", "nullable": True, "null_as": False},
        {"name": "district", "dtype": "string", "categories": ["Mokotów", "Śródmieście", "Wola", "none"]},
        {
            "name": "heating", "dtype": "string", "categories": ["gas", "district"], "unknown": "refuse",
            "nullable": True, "null_as": "none",
        },
        {"name": "view", "dtype": "string", "categories": ["park", "street", "gas"], "nullable": True},
        {"name": "quiet", "dtype": "string", "categories": ["yes", "no"], "nullable": True},
        {"name": "age", "dtype": "float64", "nullable": True, "null_as": 0},
        {"name": "plot", "dtype": "float64", "nullable": True},
        {"name": "empty", "dtype": "float64", "nullable": True},
        {"name": "in one fold", "dtype": "float64", "nullable": True},
    ]  # fmt: skip
    n = 150
    y = np.round(rng.normal(500, 120, n), 2)

    def draw(values, missing=0.0):
        values = [values[k] for k in rng.integers(len(values), size=n)]
        return [None if gone else value for gone, value in zip(rng.random(n) < missing, values)]

    def numbers(mean, spread, missing=0.0):
        values = np.round(rng.normal(mean, spread, n) + spread * (y - 500) / 300, 3).tolist()
        return [None if gone else value for gone, value in zip(rng.random(n) < missing, values)]

    def rows(folds):
        present = set(folds[0].tolist())
        one_fold = [value if i in present else None for i, value in enumerate(numbers(1e6, 3))]
        columns = [
            numbers(70, 25),
            draw([1, 2, 3, 4, 5], missing=0.2),
            draw([0, 1, 2, 3, 10, -1], missing=0.1),
            draw([1, 2, 3, 4], missing=0.1),  # 4 is not declared
            draw([True, False]),
            draw([True, False], missing=0.3),
            draw([True, False], missing=0.3),
            draw(["Mokotów", "Śródmieście", "Wola", "none", "Praga", "gas"]),  # the last two are not declared
            draw(["gas", "district", "none"], missing=0.2),
            draw(["park", "street"], missing=0.2),
            draw(["yes", "no"]),  # null only in new rows
            numbers(40, 20, missing=0.25),
            numbers(1e6, 2, missing=0.25),
            [None] * n,
            one_fold,
        ]
        return [list(row) for row in zip(*columns)]

    fixture("every_type", "made up", features, "price", rows, y, pipeline)


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    penguins()
    penguins_raw()
    diabetes()
    grunfeld()
    every_type()
