"""Runs requests through bundles as a server does: TensorFlow alone, nothing of Keras or this project.

Reads pickled (folder of a version, list of (signature, {input: array})) from standard input, one after the other, and
writes for each the pickled list of what the requests give, a dict of arrays or the text of the error. Tensors are fed
past Python's checks of shapes: a C++ server has none either.
"""

import functools
import os
import pickle
import sys

sys.modules.update(dict.fromkeys(("keras", "r3d_keras", "export", "data")))  # importing one of them fails
answers_file = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # whatever is printed goes elsewhere

import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf import config_pb2  # noqa: E402


@functools.cache
def load(version: str):
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        return session, tf.compat.v1.saved_model.load(session, ["serve"], version).signature_def


@functools.cache
def function_of(version: str, name: str, inputs: tuple[str, ...]):
    session, signatures = load(version)
    signature = signatures[name]
    options = config_pb2.CallableOptions(
        feed=[signature.inputs[key].name for key in inputs],
        fetch=[tensor.name for tensor in signature.outputs.values()],
    )
    return list(signature.outputs), session._make_callable_from_options(options)


def answer(version: str, name: str, inputs: dict):
    outputs, function = function_of(version, name, tuple(inputs))
    try:
        return dict(zip(outputs, function(*inputs.values()), strict=True))
    except tf.errors.InvalidArgumentError as error:
        return error.message


def main() -> None:
    while True:
        try:
            version, requests = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump([answer(version, *request) for request in requests], answers_file)
        answers_file.flush()


if __name__ == "__main__":
    main()
