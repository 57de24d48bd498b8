"""Runs requests through a bundle as a server does: TensorFlow alone, nothing of Keras or this project.

Usage: python bare_process.py VERSION REQUESTS OUTPUTS

REQUESTS is a pickled list of (signature, {input: array}); OUTPUTS becomes the pickled list of what each gives, a dict
of arrays or the text of the error. Tensors are fed past Python's checks of shapes: a C++ server has none either.
"""

import pickle
import sys

sys.modules.update(dict.fromkeys(("keras", "r3d_keras", "export", "data")))  # importing one of them fails

import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf import config_pb2  # noqa: E402


def main(version: str, requests_path: str, outputs_path: str) -> None:
    with open(requests_path, "rb") as file:
        requests = pickle.load(file)
    answers = []
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], version).signature_def
        for name, inputs in requests:
            signature = signatures[name]
            outputs = list(signature.outputs)
            options = config_pb2.CallableOptions(
                feed=[signature.inputs[key].name for key in inputs],
                fetch=[signature.outputs[key].name for key in outputs],
            )
            try:
                values = session._make_callable_from_options(options)(*inputs.values())
                answers.append(dict(zip(outputs, values, strict=True)))
            except tf.errors.InvalidArgumentError as error:
                answers.append(error.message)
    with open(outputs_path, "wb") as file:
        pickle.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
