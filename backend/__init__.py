"""The backend: learns from people's answers, judges, promotes, and speaks Label Studio's ML protocol."""
