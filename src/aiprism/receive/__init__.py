"""Get it in: decode what senders send, say no clearly, hand the rest to the store. Nothing here writes SQL."""
