"""What a model is where nobody says otherwise, once for commands and library. `Recipe` holds the defaults of clips."""

ARCHITECTURE = "resnet-18"
FRAME_SIZE = 112  # height and width of a clip, in pixels
NORMALIZATION = "activitynet-2018"  # a key of r3d_keras.models.normalization.NORMALIZATIONS
EPOCHS = 30  # from random weights

# From weights that know motion: trained longer, a network overfits to the scenes of few videos.
FINE_TUNING_CLIPS = 600  # seen, for each class
FINE_TUNING_EPOCHS = 2  # at least; EPOCHS at most

# What a model learns by, and how its logits become probabilities: classes that exclude one another, or one sigmoid for
# each class, so that a video may have several. The first is the default.
SOFTMAX, SIGMOID = LOSSES = ("softmax", "sigmoid")

# What the layers of a model may compute in; the first is the default.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
