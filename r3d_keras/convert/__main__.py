"""Turns a PyTorch checkpoint into a Keras model with the same logits on the same raw video.

Examples:
    python -m r3d_keras.convert --checkpoint=resnet-34-kinetics.pth --output=resnet-34.keras --labels=kinetics400.txt
    python -m r3d_keras.convert --checkpoint=r3d50_K_200ep.pth --output=r3d50.keras --verify

Takes what the authors of the 3D ResNets published or what was trained with their code (2017-18 and 2020), and
torchvision's r3d_18, mc3_18 and r2plus1d_18. Architecture, depth, widths, shortcuts and classes are read from the
file; flags are for what no tensor shows. The file is read by our own reader: PyTorch is not needed, and nothing
that the file holds is executed. --verify, which needs PyTorch, compares the logits with its.
"""

from pathlib import Path

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A PyTorch checkpoint (.pth).")
OUTPUT = flags.DEFINE_string("output", None, "The .keras file to write.")
LABELS = flags.DEFINE_string(
    "labels",
    None,
    "Class names: a .txt file in the order of the logits, an annotation .json of the authors' tools, or the official "
    ".csv list of training videos.",
)
ARCHITECTURE = flags.DEFINE_string("architecture", None, "What the checkpoint is believed to be; checked.")
SHORTCUT = flags.DEFINE_string("shortcut", None, "The shortcut type it is believed to have, A or B; checked.")
CONV1_T_STRIDE = flags.DEFINE_integer("conv1_t_stride", None, "Stride of the first convolution in time, if not 1.")
MAX_POOL = flags.DEFINE_bool("max_pool", None, "Whether max pooling follows the first convolution; it does by default.")
GENERATION = flags.DEFINE_integer("generation", None, "2018 or 2020: the year of the authors' code that trained it.")
NORMALIZATION = flags.DEFINE_string(
    "normalization", None, "activitynet-2018, kinetics-2020 or torchvision, instead of what the generation implies."
)
CLIP_FRAMES = flags.DEFINE_integer("clip_frames", None, "Frames of the clips it was trained on, if not 16.")
FRAME_SIZE = flags.DEFINE_integer("frame_size", None, "Height and width of the clips it was trained on, if not 112.")
VERIFY = flags.DEFINE_bool("verify", False, "Compare the logits with PyTorch's before writing anything.")


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    checkpoint = command_line.require(CHECKPOINT.value, "checkpoint", "resnet-34-kinetics.pth")
    output = Path(command_line.require(OUTPUT.value, "output", "resnet-34.keras"))
    if output.suffix != ".keras":
        raise UserError(f"--output={output} must end in .keras")
    if not output.parent.is_dir():
        raise UserError(f"--output={output}: there is no folder {output.parent}")
    quiet.import_tensorflow()

    from r3d_keras.convert.conversion import convert
    from r3d_keras.convert.report import print_report
    from r3d_keras.models import save_model

    stated = {"shortcut": SHORTCUT, "conv1_t_stride": CONV1_T_STRIDE, "max_pool": MAX_POOL}
    conversion = convert(
        checkpoint,
        labels=LABELS.value,
        architecture=ARCHITECTURE.value,
        generation=GENERATION.value,
        normalization=NORMALIZATION.value,
        clip_frames=CLIP_FRAMES.value,
        frame_size=FRAME_SIZE.value,
        arguments={name: flag.value for name, flag in stated.items() if flag.value is not None},
    )
    print_report(conversion)
    if VERIFY.value:
        _verify(conversion)
    try:
        save_model(conversion.model, output)
    except OSError as error:
        raise UserError(f"cannot write --output={output}: {error.strerror or error}") from error
    print(f"saved {output}")
    if not conversion.model.metadata.label_names:
        print("it has no class names: --labels=FILE gives it some, and prediction then answers with words")


def _verify(conversion) -> None:
    from r3d_keras.convert.verification import verify

    result = verify(conversion)
    print(f"largest difference from PyTorch: {result.difference:.2e} (largest logit {result.largest_logit:.3g})")
    if not result.agrees:
        raise UserError("the logits differ from PyTorch's by more than rounding: nothing was written")


if __name__ == "__main__":
    command_line.run(main)
