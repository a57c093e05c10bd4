"""Client: submit a pipeline's outputs, and read people's answers.

    with Client(url, token) as client:
        client.submit(Output(key=f"ticket/{t.id}", data={"text": t.text}, probabilities=p) for t, p in scored)
        status = client.wait("ticket/17", timeout=60)

An output is identified by its key, so submitting it twice counts once. Every call here may be repeated, and the client
retries by itself.
"""

from labelloop.client.asynchronous import AsyncClient
from labelloop.client.background import Background
from labelloop.client.blocking import Client
from labelloop.client.values import SETTLED, Batch, Outcome, Receipt, Status
from labelloop.client.wire import CHUNK_LINES

__all__ = ["CHUNK_LINES", "SETTLED", "AsyncClient", "Background", "Batch", "Client", "Outcome", "Receipt", "Status"]
