"""Issue trackers that `issue:` steps write to: which there are, how each is spoken to, and what all have in common."""
