"""The one table: conditional writes, idempotent creation, counters and pages, written once for every resource."""
