"""Which videos a model has learned from: digests that lie beside shards, go with the model, and are met in a folder."""

import hashlib

from r3d_keras.video.listing import Video

DIGESTS_FILE = "video_digests.json"  # beside shards: the digests of the videos of each split
MOST_DIGESTS = 500_000  # of those that a model keeps: what a .keras file or a model card says of itself has 16 MiB
_DIGITS = 12  # hexadecimal: any two of a million videos have the same digest with a probability of 0.2 %


def video_digest(video: Video) -> str:
    """Returns the digest of a video's id and size in bytes: the same wherever its class folder lies."""
    return hashlib.sha256(f"{video.video_id}/{video.file_bytes}".encode()).hexdigest()[:_DIGITS]
