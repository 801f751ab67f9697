"""The database servers that NocoBase runs on: one file for each kind."""
