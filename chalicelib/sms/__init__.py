"""SMS messages, sent by machines: never twice, never without limit."""
