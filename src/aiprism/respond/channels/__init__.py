"""Where notifications go: one file per channel, each of which reads its own part of alertmanager.yml and forms letters."""
