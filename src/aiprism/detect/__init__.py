"""Notice that something is wrong: rules and the other detectors. Hands alerts to the response room, samples to the store."""
