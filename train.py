"""Trains a 3D ResNet on prepared clips.

Examples:
    python train.py --flagfile=quickstart.flags
    python train.py --data_dir=shards --model_dir=run1 --architecture=resnet-18 --batch_size=32 --epochs=30
    python train.py --data_dir=shards --model_dir=run2 --weights=resnet-34-kinetics.keras --epochs=10

A run that was stopped or killed goes on where it was when it is started again with the same flags; SIGTERM and Ctrl-C
save first. On several machines, start the same command on each with TF_CONFIG set, and --model_dir on a file system
that they share. Watch a run with
    tensorboard --logdir=run1/logs
"""

from absl import flags

from r3d_keras import command_line, quiet, remote
from r3d_keras.errors import UserError

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder that python -m data.prepare wrote.")
MODEL_DIR = flags.DEFINE_string("model_dir", None, "Folder for the model, checkpoints and logs.")
ARCHITECTURE = flags.DEFINE_string(
    "architecture",
    None,
    "Network and depth (default resnet-18): resnet, resnet2p1d, preresnet (-10, -18, -34, -50, -101, -152, -200), "
    "wideresnet, resnext (-50, -101, -152, -200), densenet (-121, -169, -201, -264), c3d, r3d_18, mc3_18, r2plus1d_18.",
)
WEIGHTS = flags.DEFINE_string(
    "weights",
    None,
    "A .keras file, or a PyTorch checkpoint of the authors, to fine-tune: all but the head is kept, and the head too "
    "where the classes agree.",
)
ARGUMENTS = {
    "shortcut": flags.DEFINE_string(
        "shortcut", None, "Shortcuts between stages: A (no parameters) or B (the default)."
    ),
    "widen_factor": flags.DEFINE_float("widen_factor", None, "Multiplies the width of every layer."),
    "cardinality": flags.DEFINE_integer("cardinality", None, "Groups of a ResNeXt's convolutions, 32 by default."),
    "conv1_t_size": flags.DEFINE_integer("conv1_t_size", None, "Frames that the first convolution spans, usually 7."),
    "conv1_t_stride": flags.DEFINE_integer(
        "conv1_t_stride", None, "Stride of the first convolution in time, usually 1."
    ),
    "max_pool": flags.DEFINE_bool("max_pool", None, "Max pooling after the first convolution, on by default."),
    "generation": flags.DEFINE_integer(
        "generation", None, "Stem of wideresnet and resnext as in 2018 (default) or 2020."
    ),
    "batch_norm": flags.DEFINE_bool("batch_norm", None, "Batch normalisation in C3D, off by default."),
    "dropout": flags.DEFINE_float("dropout", None, "Dropout in C3D, 0.5 by default."),
}
TRAINABLE_FROM = flags.DEFINE_string(
    "trainable_from", None, "First stage that learns: stem, layer1 to layer4, or head alone; all without it."
)
FROZEN_STATISTICS = flags.DEFINE_bool(
    "frozen_statistics", True, "Keep the batch norm statistics of stages that do not learn; the authors' move on."
)
STAGE_FACTORS = flags.DEFINE_list(
    "stage_factors", [], "Factors of the learning rate of stages, as in head=10,layer4=1; 1 for those not named."
)
SYNCHRONIZED_BATCH_NORM = flags.DEFINE_bool(
    "synchronized_batch_norm", False, "Batch norm over the clips of all replicas together, not of each its own."
)
UNBIASED_VARIANCE = flags.DEFINE_bool(
    "unbiased_variance", True, "Moving variances of batch norm as PyTorch keeps them, rather than as Keras does."
)
NORMALIZATION = flags.DEFINE_string(
    "normalization",
    None,
    "activitynet-2018 (the default, the paper's), kinetics-2020, torchvision, or a file of data.inspect --statistics.",
)
CLIP_FRAMES = flags.DEFINE_integer("clip_frames", None, "Frames of a clip, 16 by default; as the data was prepared.")
FRAME_SIZE = flags.DEFINE_integer("frame_size", None, "Height and width of the clips the network sees, 112 by default.")
FLIP = flags.DEFINE_bool("flip", True, "Mirror half of the clips; turn off where left and right matter.")
ANTIALIAS = flags.DEFINE_bool("antialias", True, "Shrink training clips as the reference does; faster without.")
SCALED_DECODING = flags.DEFINE_bool(
    "scaled_decoding", False, "Let the decoder shrink crops of twice --frame_size or more: faster for large frames."
)
SAMPLING = flags.DEFINE_string(
    "sampling",
    "windows",
    "Clips of an epoch: every window of each video (windows), or one clip of each, anywhere (uniform, the paper's) or "
    "from its middle (centre).",
)
FRAME_STRIDE = flags.DEFINE_integer("frame_stride", 1, "Take every second frame with 2, and so on; validation too.")
CROP = flags.DEFINE_string("crop", "corner", "corner (the paper's), random, random_resized or centre.")
CROP_GENERATION = flags.DEFINE_integer("crop_generation", 2020, "Round crops as the authors' code of 2018 or of 2020.")
COLOUR_JITTER = flags.DEFINE_float("colour_jitter", 0.0, "Change brightness, contrast, saturation by up to this part.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Clips in a step, over all replicas together.")
ACCUMULATE = flags.DEFINE_integer(
    "accumulate", 1, "Parts of a batch that are computed one after the other, to take less memory."
)
PRECISION = flags.DEFINE_string("precision", "float32", "float32, mixed_bfloat16, or mixed_float16 with loss scaling.")
JIT_COMPILE = flags.DEFINE_bool("jit_compile", False, "Compile with XLA: try it on a GPU, leave it on a CPU.")
GRADIENT_CHECKPOINTING = flags.DEFINE_bool(
    "gradient_checkpointing", False, "Compute blocks twice instead of keeping what they computed: less memory, slower."
)
EPOCHS = flags.DEFINE_integer("epochs", 30, "How often every training clip is seen.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 0.01, "Learning rate at the beginning; the paper's is 0.1.")
SCHEDULE = flags.DEFINE_string(
    "schedule",
    "constant",
    "How the rate falls: plateau (by ten when the validation loss no longer falls, the paper's), multistep (by ten "
    "after --milestones), cosine, or constant.",
)
MILESTONES = flags.DEFINE_list("milestones", [], "Epochs after which --schedule=multistep divides by ten: 50,100,150.")
PATIENCE = flags.DEFINE_integer("patience", 10, "Validations without a lower loss that --schedule=plateau bears.")
WARMUP_EPOCHS = flags.DEFINE_float("warmup_epochs", 0.0, "Epochs over which the rate first rises from 0.")
SCALE_LEARNING_RATE_TO = flags.DEFINE_integer(
    "scale_learning_rate_to", None, "Batch that --learning_rate is meant for: the rate is scaled to --batch_size."
)
MOMENTUM = flags.DEFINE_float("momentum", 0.9, "Momentum of SGD.")
DAMPENING = flags.DEFINE_float("dampening", 0.9, "Dampening of the momentum; 0.9 is the paper's, 0 the usual.")
WEIGHT_DECAY = flags.DEFINE_float("weight_decay", 1e-3, "L2 weight decay on every weight.")
NESTEROV = flags.DEFINE_bool("nesterov", False, "Nesterov momentum; needs --dampening=0.")
EVALUATE_EVERY = flags.DEFINE_integer("evaluate_every", 1, "Epochs between two looks at the validation split.")
MAX_DAMAGED_FRACTION = flags.DEFINE_float(
    "max_damaged_fraction", 0.01, "Stop when more than this part of the training records is damaged."
)
SAVE_EVERY_STEPS = flags.DEFINE_integer("save_every_steps", None, "Write a checkpoint after so many steps too.")
SAVE_EVERY_MINUTES = flags.DEFINE_float(
    "save_every_minutes", 15.0, "Write a checkpoint after so many minutes, not only at an epoch's end."
)
CHECKPOINTS_KEPT = flags.DEFINE_integer("checkpoints_kept", 3, "Newest checkpoints that stay, beside the best one.")
CHANGE_CONFIGURATION = flags.DEFINE_bool(
    "change_configuration", False, "Go on in a --model_dir whose run had another configuration."
)
DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Check data, model, memory and disk space, tell the plan and its time, and write nothing."
)
DATA_SERVICE = flags.DEFINE_list(
    "data_service",
    [],
    "Input hosts that make the training batches, as in host1:5050,host2:5050: machines that run "
    "python -m r3d_keras.data_service.",
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the weights, the order of clips and the augmentation.")


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    command_line.require(DATA_DIR.value, "data_dir", "shards")
    if remote.is_remote(command_line.require(MODEL_DIR.value, "model_dir", "run1")):
        raise UserError(f"--model_dir={MODEL_DIR.value}: a run is kept in a local folder, or one that is mounted")
    quiet.import_tensorflow()

    from r3d_keras.training.dry_run import dry_run
    from r3d_keras.training.run import train

    do = dry_run if DRY_RUN.value else train
    do(configuration(), change_configuration=CHANGE_CONFIGURATION.value)


def configuration():
    """Returns what the flags say, as a TrainingConfig."""
    from r3d_keras.input.augmentation import Augmentation
    from r3d_keras.input.sampling import Sampling
    from r3d_keras.training.config import TrainingConfig

    return TrainingConfig(
        data_dir=DATA_DIR.value,
        model_dir=MODEL_DIR.value,
        architecture=ARCHITECTURE.value,
        arguments={name: flag.value for name, flag in ARGUMENTS.items() if flag.value is not None},
        weights=WEIGHTS.value,
        normalization=NORMALIZATION.value,
        clip_frames=CLIP_FRAMES.value,
        frame_size=FRAME_SIZE.value,
        trainable_from=TRAINABLE_FROM.value,
        frozen_statistics=FROZEN_STATISTICS.value,
        stage_factors=command_line.named_numbers(STAGE_FACTORS.value, "stage_factors"),
        synchronized_batch_norm=SYNCHRONIZED_BATCH_NORM.value,
        unbiased_variance=UNBIASED_VARIANCE.value,
        sampling=Sampling(SAMPLING.value, FRAME_STRIDE.value),
        augmentation=Augmentation(
            CROP.value, CROP_GENERATION.value, FLIP.value, COLOUR_JITTER.value, ANTIALIAS.value, SCALED_DECODING.value
        ),
        batch_size=BATCH_SIZE.value,
        accumulate=ACCUMULATE.value,
        epochs=EPOCHS.value,
        schedule=SCHEDULE.value,
        learning_rate=LEARNING_RATE.value,
        scale_learning_rate_to=SCALE_LEARNING_RATE_TO.value,
        milestones=command_line.whole_numbers(MILESTONES.value, "milestones"),
        patience=PATIENCE.value,
        warmup_epochs=WARMUP_EPOCHS.value,
        momentum=MOMENTUM.value,
        dampening=DAMPENING.value,
        weight_decay=WEIGHT_DECAY.value,
        nesterov=NESTEROV.value,
        precision=PRECISION.value,
        jit_compile=JIT_COMPILE.value,
        gradient_checkpointing=GRADIENT_CHECKPOINTING.value,
        evaluate_every=EVALUATE_EVERY.value,
        max_damaged_fraction=MAX_DAMAGED_FRACTION.value,
        save_every_steps=SAVE_EVERY_STEPS.value,
        save_every_minutes=SAVE_EVERY_MINUTES.value,
        checkpoints_kept=CHECKPOINTS_KEPT.value,
        seed=SEED.value,
        data_service=tuple(DATA_SERVICE.value),
    )


if __name__ == "__main__":
    command_line.run(main)
