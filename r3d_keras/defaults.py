"""What a network and its clips are where nobody says otherwise: those of the ICCVW 2017 paper.

Nothing heavy is imported here, so that help texts can name these values.
"""

from r3d_keras.video.recipe import Recipe

ARCHITECTURE = "resnet-18"
NORMALIZATION = "activitynet-2018"
CLIP_FRAMES = Recipe.clip_frames
FRAME_SIZE = 112  # pixels, height and width

# What the layers of a model may compute in.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
