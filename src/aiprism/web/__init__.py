"""The HTTP edge: decode, call, encode. No decisions are made here."""
