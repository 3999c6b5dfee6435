"""What a runbook's step can do: one file per actuator."""
