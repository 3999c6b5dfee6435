"""Do something about it: alerts become incidents, people are told, runbooks repair, the repair is proven."""
