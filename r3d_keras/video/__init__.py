"""Video files: decoding frames and cutting them into clips."""
