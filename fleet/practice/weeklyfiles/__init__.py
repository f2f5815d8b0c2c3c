"""What the files of a project add to the report of a week: rankings, tickets, the harness. Not on nodes."""
