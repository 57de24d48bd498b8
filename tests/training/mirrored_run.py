"""train.py in one process on several logical CPUs: python -m tests.training.mirrored_run REPLICAS FLAGS..."""

import runpy
import sys

import tensorflow as tf

from r3d_keras.training.run import train

if __name__ == "__main__":
    replicas = int(sys.argv[1])
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    command = runpy.run_module("r3d_keras.train", run_name="command")["COMMAND"]
    strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)])
    print(train(command.parse(sys.argv[2:]), strategy))
