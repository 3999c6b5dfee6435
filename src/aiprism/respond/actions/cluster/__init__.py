"""What `kubernetes:` steps are made of: the API server as it is spoken to, its objects as they are read, and the moves."""
