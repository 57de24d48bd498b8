"""Turns a PyTorch checkpoint into a Keras model with the same logits on the same raw video.

Examples:
    r3d convert resnet-34-kinetics.pth resnet-34.keras --labels=kinetics400.txt
    python -m r3d_keras.convert --checkpoint=r3d50_K_200ep.pth --output=r3d50.keras --verify

Takes what the authors of the 3D ResNets published or what was trained with their code (2017-18 and 2020),
torchvision's r3d_18, mc3_18 and r2plus1d_18, its ResNets of pictures (resnet18, ...), which look at each frame by
itself, and I3D's PyTorch port. Architecture, depth, widths, shortcuts and classes are read from the file, which
torch.save or safetensors wrote, with the weights under any key and prefix; flags are for what no tensor shows. The
file is read by our own reader: PyTorch is not needed, and nothing that the file holds is executed. --verify, which
needs PyTorch, compares the logits with its.
"""

from dataclasses import dataclass

from r3d_keras import defaults
from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.errors import UserError
from r3d_keras.files import check_output_file
from r3d_keras.options import Options, option, required
from r3d_keras.terminal import say, wrote
from r3d_keras.video.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class FileOptions(Options):
    """What is read and written."""

    title = "Files"
    checkpoint: str = required("resnet-34-kinetics.pth", "A PyTorch checkpoint (.pth, .pt, .safetensors).")
    output: str = required("resnet-34.keras", "The .keras file to write.")
    labels: str | None = option(
        None,
        "Class names: a list in the order of the logits or with numbers, as text, JSON or csv; an annotation file of "
        "the authors' tools; or the official csv list of training videos.",
    )
    network: str | None = option(
        None, "Of several networks in the file, such as averaged weights beside others, the one to take: its key."
    )
    headless: bool = option(
        False, "Leave out what lies behind the features: a model to start a training from, or to compute features."
    )
    verify: bool = option(False, "Compare the logits with PyTorch's before anything is written.")


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(FileOptions):
    """What `convert` takes."""

    title = "What no tensor shows, or what is believed and shall be checked"
    architecture: str | None = option(None, "What the checkpoint is believed to be; checked.")
    shortcut: str | None = option(None, "The shortcut type it is believed to have; checked.", choices=("A", "B"))
    conv1_t_stride: int | None = option(None, "Stride of the first convolution in time, if not 1.", minimum=1)
    max_pool: bool | None = option(None, "Whether max pooling follows the first convolution; it does by default.")
    generation: int | None = option(None, "The year of the authors' code that trained it.", choices=(2018, 2020))
    normalization: str | None = option(
        None, "activitynet-2018, kinetics-2020, torchvision, imagenet or i3d, instead of what goes with the weights."
    )
    clip_frames: int | None = option(
        None, f"Frames of the clips it was trained on, if not {Recipe.clip_frames} (I3D's 64).", minimum=1
    )
    frame_size: int | None = option(
        None,
        f"Height and width of the clips it was trained on, if not {defaults.FRAME_SIZE} (224 of I3D and pictures).",
        minimum=1,
    )


def main(options: ConvertOptions) -> None:
    """Converts a checkpoint."""
    check_output_file(options.output, "output", (".keras",))
    from r3d_keras import quiet

    quiet.import_tensorflow()

    from r3d_keras.convert.conversion import convert
    from r3d_keras.convert.verification import verify
    from r3d_keras.models import save_model

    arguments = {name: getattr(options, name) for name in ("shortcut", "conv1_t_stride", "max_pool")}
    conversion = convert(
        options.checkpoint,
        labels=options.labels,
        network=options.network,
        headless=options.headless,
        architecture=options.architecture,
        generation=options.generation,
        normalization=options.normalization,
        clip_frames=options.clip_frames,
        frame_size=options.frame_size,
        arguments={name: value for name, value in arguments.items() if value is not None},
    )
    say(conversion)
    if options.verify:
        verification = verify(conversion)
        say(verification)
        if not verification.agrees:
            raise UserError("the logits differ from PyTorch's by more than rounding: nothing was written")
    try:
        save_model(conversion.model, options.output)
    except OSError as error:
        raise UserError(f"cannot write output={options.output}: {error.strerror or error}") from error
    has_names = bool(conversion.model.metadata.label_names)
    if not has_names and not options.headless:
        say("it has no class names: --labels=FILE gives it some, and prediction then answers with words")
    say(wrote(options.output))
    fine_tuning = ("train", "shards", "run1", f"--weights={options.output}")
    say(next_command(*(("export", options.output, "bundle") if has_names else fine_tuning)))


COMMAND = Command(main, ConvertOptions, arguments=("checkpoint", "output"))

if __name__ == "__main__":
    COMMAND.run()
