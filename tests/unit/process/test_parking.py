"""Tickets of parked requests: each is served once more at most."""

from __future__ import annotations

import threading

from labelloop.process.parking import Parked, is_fair


def test_a_ticket_that_is_woken_before_it_is_parked_is_not_parked() -> None:
    ticket, served = Parked(0.0), list[int]()
    ticket.wake()
    assert not ticket.park(lambda: served.append(1))
    assert not ticket.leave(), "the request is being served"
    assert served == []


def test_a_client_that_is_gone_is_not_served_and_one_that_is_served_is_not_gone() -> None:
    gone, served = Parked(0.0), list[int]()
    assert gone.park(lambda: served.append(1))
    assert gone.leave()
    gone.wake()
    woken = Parked(0.0)
    assert woken.park(lambda: served.append(2))
    woken.wake(ValueError("why"))
    woken.wake()
    assert (served, gone.is_gone, woken.leave(), woken.is_gone) == ([2], True, False, False)
    assert isinstance(woken.problem, ValueError)


def test_one_caller_holds_half_of_what_the_others_leave_and_some_is_left_for_the_next() -> None:
    most, held = 2_000, list[int]()
    for _ in range(4):
        own = 0
        while is_fair(own + 1, sum(held) + own + 1, most):
            own += 1
        held.append(own)
    assert held == [1000, 500, 250, 125]
    assert is_fair(1, 126, most), "when the others have left, the caller with few may have more"


def test_among_threads_a_ticket_is_served_or_left_once() -> None:
    for _ in range(300):
        ticket, events = Parked(0.0), list[str]()
        barrier = threading.Barrier(3)

        def park(ticket: Parked = ticket, events: list[str] = events, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            if not ticket.park(lambda: events.append("served")) and not ticket.is_gone:
                events.append("served")

        def wake(ticket: Parked = ticket, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            ticket.wake()

        def leave(ticket: Parked = ticket, events: list[str] = events, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            if ticket.leave():
                events.append("left")

        threads = [threading.Thread(target=each) for each in (park, wake, leave)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert events in (["served"], ["left"]), events
