"""What flows through aiprism: frozen values without behaviour of their own rooms. Imports nothing of ours but errors."""
