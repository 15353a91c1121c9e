"""From the notebook to the three files that are handed in."""
