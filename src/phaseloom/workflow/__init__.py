"""What to do (recipe) and doing it (run)."""
