"""Everything on one machine: Postgres, Label Studio, sync and backend under one supervisor."""
