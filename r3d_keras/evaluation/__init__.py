"""From clips to numbers: scores of clips, of videos, and metrics."""
