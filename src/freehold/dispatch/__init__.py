"""Fallback orchestration: runs a plan, step by step, until one answer may go out.

Two commit points. *Head committed*: the status line went out. *Content committed*: the first content went out, no
fallback any more. Before the second one a fault moves on to the next step, and a poor verdict escalates where the
plan says so; after it a fault ends the stream with the wire format's own error event.

    runner.py        the plan: which step next, what is kept, what is given up
    attempt.py       one step: build, send, read the head, record the end
    answers.py       what a finished or running attempt hands to the server
    held.py          replies that are judged before anything goes out
    paying.py        what an attempt reserves before it is sent
    sizing.py        how much a request as sent can use at most
    mend.py          what a deployment's quirks change in a request
    schema_tools.py  tool calls through a JSON schema for models that cannot call tools
    schema_answer.py what such a model wrote, taken apart while it is being written
    plain_schema.py  JSON schemas as an engine's grammar takes them
    reach.py         where each runtime answers right now, and with which credentials
    flight.py        one request while it is being served
"""
