"""Be wiser next time: what stands behind incidents, and what many of them teach."""
