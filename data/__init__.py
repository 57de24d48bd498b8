"""From videos to shards of clips."""
