"""``obswriter demo``: a small application that really runs, and what it recorded."""
