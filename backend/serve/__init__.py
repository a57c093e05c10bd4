"""The serving hop: answers Label Studio by its ML protocol, with the champion in memory."""
