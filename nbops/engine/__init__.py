"""Runs a plan: strategies, retry, rollback, lock."""
