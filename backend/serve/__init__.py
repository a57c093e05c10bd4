"""The hop that answers Label Studio: its ML protocol, and the champion in memory."""
