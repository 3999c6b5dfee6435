"""Who is on call when, and who is paged when nobody answers."""
