"""The report of a week: what was asked and spent, what the policy says of it, and what to do next."""
