"""From shards to uint8 batches of clips."""
