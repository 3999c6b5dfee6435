"""Keep telemetry and control state, and give them back. The only room that writes SQL."""
