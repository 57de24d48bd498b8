"""The JSON of TF Serving's REST interface: rows (`instances`) and columns (`inputs`), to tensors and back."""

import base64
import json

import grpc
import numpy as np
import tensorflow as tf

from tests.export.loopback_refusals import RefusedError

Tensors = dict[str, np.ndarray]


def parse(body: bytes) -> dict:
    """Returns the object that a request is. NaN is parsed, as there, and refused where a tensor has no place for it."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"JSON Parse error: {error}") from error
    if not isinstance(request, dict):
        raise _invalid("Is not object")
    if not isinstance(request.get("signature_name", ""), str):
        raise _invalid("'signature_name' key must be a string value")
    if ("instances" in request) == ("inputs" in request):
        both = "instances" in request
        raise _invalid(
            "expecting only one of 'inputs' or 'instances'" if both else "Missing 'inputs' or 'instances' key"
        )
    return request


def to_tensors(request: dict, infos: dict) -> Tensors:
    """Returns the tensors of a parsed request.

    Args:
        infos: TensorInfo of each input of the signature.
    """
    columns = _columns_of_rows(request["instances"], infos) if "instances" in request else request["inputs"]
    if not _is_named(columns):
        if len(infos) > 1:
            raise _invalid("a plain value, but the signature has several inputs")
        columns = dict.fromkeys(infos, columns)
    for name in infos:
        if name not in columns:
            raise _invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _to_tensor(columns[name], info.dtype) for name, info in infos.items()}


def to_answer(outputs: Tensors, by_row: bool) -> dict:
    """Returns the object that an answer is; the name of an only output is left out, as there."""
    columns = {name: _to_json(name, value) for name, value in outputs.items()}
    if not by_row:
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def _columns_of_rows(rows, infos: dict):
    if not isinstance(rows, list):
        raise _invalid("Excepting 'instances' to be an list/array")
    if not rows:
        raise _invalid("No values in 'instances' array")
    if len({_is_named(row) for row in rows}) > 1:
        raise _invalid("'instances' mixes objects and values")
    if not _is_named(rows[0]):
        return rows
    for number, row in enumerate(rows):
        if set(row) != set(infos):
            raise _invalid(f"Failed to process element: {number} of 'instances' list: keys must be {sorted(infos)}")
    return {name: [row[name] for row in rows] for name in infos}


def _is_named(value) -> bool:
    return isinstance(value, dict) and set(value) != {"b64"}


def _to_tensor(value, dtype: int) -> np.ndarray:
    kind = tf.dtypes.as_dtype(dtype)
    try:
        if kind == tf.string:
            tensor = np.array(_strings(value), object)
            # Of lists that differ in length NumPy makes an array of lists.
            if any(isinstance(element, list) for element in tensor.flat):
                raise ValueError("Encountered list at unexpected size")
            return tensor
        numbers, limits = np.array(value), np.iinfo(kind.as_numpy_dtype)
        is_whole = numbers.dtype.kind in "iu" or not numbers.size
        if not is_whole or ((numbers < limits.min) | (numbers > limits.max)).any():
            first = json.dumps(numbers.ravel()[:1].tolist()[0])
            raise ValueError(f"JSON Value: {first} or another is not of expected type: {kind.name}")
        return numbers.astype(kind.as_numpy_dtype)
    except (ValueError, TypeError, RecursionError) as error:
        raise _invalid(str(error)) from error


def _strings(value):
    if isinstance(value, list):
        return [_strings(each) for each in value]
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, str):
        return value.encode()
    raise ValueError(f"JSON Value: {json.dumps(value)} is not of expected type: string, or formatted as base64")


def _to_json(name: str, value: np.ndarray):
    if value.dtype != object:
        return value.tolist()
    if name.endswith("_bytes"):
        encode = np.vectorize(lambda text: {"b64": base64.b64encode(text).decode()}, otypes=[object])
        return encode(value).tolist()
    return np.char.decode(value.astype(bytes), "utf-8").tolist()


def _invalid(message: str) -> RefusedError:
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)
