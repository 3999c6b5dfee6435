"""A real document-analysis system, run as separate processes: what aiprism is demonstrated and tested against."""
