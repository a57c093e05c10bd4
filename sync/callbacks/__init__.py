"""Callbacks: other programs are told of answers, tasks and promotions, by Standard Webhooks."""
