"""Trains a 3D ResNet on prepared clips: `python train.py FLAGS` is `python -m r3d_keras.train FLAGS`.

Example:
    python train.py --flagfile=kinetics.flags
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("r3d_keras.train", run_name="__main__", alter_sys=True)
