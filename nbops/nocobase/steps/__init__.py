"""The domain actions: each small enough that the runbook shows the order."""
