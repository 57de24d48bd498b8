"""Turns videos into TFRecord shards of clips, with metadata that TensorFlow Datasets reads.

A folder of your own videos, one subfolder per class (DIR/<class>/*.mp4, or DIR/train/<class>/*.mp4 and
DIR/validation/<class>/*.mp4), or a csv file with the header path,label,split or path,label,split,start,end, whose
labels may be several (run;jump):

    r3d prepare videos shards
    python -m data.prepare --dataset=folder --video_dir=videos --data_dir=shards  # in a checkout
    r3d prepare --dataset=csv --video_dir=videos --annotations=videos.csv --data_dir=shards

Kinetics 400, 600 or 700 with the official csv files, ActivityNet with the official json file, UCF-101 with the
folder ucfTrainTestlist, HMDB-51 with the folder testTrainMulti_7030_splits:

    r3d prepare --dataset=kinetics --video_dir=k400 --annotations=k400_csv --data_dir=k400_shards
    r3d prepare --dataset=activitynet --video_dir=anet --annotations=activity_net.v1-3.min.json \\
        --data_dir=anet_shards
    r3d prepare --dataset=ucf101 --video_dir=UCF-101 --annotations=ucfTrainTestlist --split_number=1 \\
        --data_dir=ucf101_shards
    r3d prepare --dataset=hmdb51 --video_dir=hmdb51_org --annotations=testTrainMulti_7030_splits \\
        --split_number=1 --data_dir=hmdb51_shards

Sports-1M, or other lists of that form (address, label numbers), each with a flag of its own:

    r3d prepare --dataset=sports1m --video_dir=sports1m --annotations=labels.txt --annotations=train_partition.txt \\
        --annotations=test_partition.txt --data_dir=sports1m_shards

Frames that the authors' PyTorch code extracted (JPEG folders or hdf5 files), with the json file it made for them:

    r3d prepare --dataset=reference --video_dir=kinetics_jpg --annotations=kinetics.json --data_dir=shards

Synthetic videos of eight motions, made first when the folder is missing:

    r3d prepare --dataset=motions --video_dir=motions --data_dir=motions_shards

Synthetic clips of many classes of motion, to pretrain networks on, made alike:

    r3d prepare --dataset=generated --video_dir=generated --data_dir=generated_shards

On a cluster, or in several processes under Apache Beam, whose own flags follow after --:

    r3d prepare --dataset=folder --video_dir=videos --data_dir=shards --runner=DirectRunner \\
        -- --direct_running_mode=multi_processing --direct_num_workers=8

Every video is decoded, shrunk to --short_side, cut into clips of --clip_frames frames (a shorter last clip is
looped to full length), and stored as JPEG; a segment is decoded from the beginning of its video on. What is listed
but missing, unreadable or damaged is left out and named, on screen and in DATA_DIR/preparation_report.json. After an
interruption the same command continues where it stopped. The same videos and settings give the same bytes.
"""

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.terminal import counted, say, wrote

from .options import PreparationOptions


def main(options: PreparationOptions) -> None:
    quiet.hide_gpus()
    from .preparation import prepare

    report = prepare(**vars(options))
    say(report)
    if report.is_new:
        say(wrote(f"{report.data_dir} ({counted(sum(split.clips for split in report.splits.values()), 'clip')})"))
    loss = ("--loss=sigmoid",) if any(split.videos_with_several_labels for split in report.splits.values()) else ()
    words = ("train", report.data_dir, "run1", *loss) if "train" in report.splits else ("inspect", report.data_dir)
    say(next_command(*words))


COMMAND = Command(main, PreparationOptions, arguments=("video_dir", "data_dir"), after_dashes="runner_flags")

if __name__ == "__main__":
    COMMAND.run()
