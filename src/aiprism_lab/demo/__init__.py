"""The demonstration's configuration, as files: aiprism.yml, rules, alertmanager.yml and runbooks for the lab.

`aiprism demo` copies them, puts the receivers' real address into alertmanager.yml and starts the platform on the copy.
"""
