"""What keeps an alert from being told, one file per reason; `holding` asks them all, `held` keeps what they held back."""
