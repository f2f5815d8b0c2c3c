"""What a front watches for people: all nodes and the other fronts; whom it tells, and what it does about a dead node.

`looks`, `reach`, `notices`, `outbox` and `power` decide (pure); `watch` and what it holds do.
"""
