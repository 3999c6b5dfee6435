"""What an instrumented service imports: telemetry out, commands in.

`instrument` switches everything on; `metrics`, `tracing`, `logs`, `context`, `control` are what application code calls;
`outbox`, `channel`, `libraries`, `asgi`, `settings` do the carrying. Needs OpenTelemetry and prometheus-client only.
"""
