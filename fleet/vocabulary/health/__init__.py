"""Health for people: what is wrong with a node, since when, what happens next and what to do. Pure.

`table` holds the checks as data, `readings` what they read of a sample, `step` what time makes of it. Routing reads raw
levels instead (DESIGN section 8).
"""
