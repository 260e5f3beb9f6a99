"""What obswriter's own tests share; no test of its own, and nothing here is installed."""
