"""What a model is where nobody says otherwise, once for commands and library. `Recipe` holds the defaults of clips."""

ARCHITECTURE = "resnet-18"
FRAME_SIZE = 112  # height and width of a clip, in pixels
NORMALIZATION = "activitynet-2018"  # a key of r3d_keras.models.normalization.NORMALIZATIONS
EPOCHS, FINE_TUNING_EPOCHS = 30, 5  # of training from random weights, and from others

# What the layers of a model may compute in; the first is the default.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
