"""The faces that speak HTTP: endpoints in, bytes out. Parses and prints; decides nothing.

app.py        the composition root: builds everything once and hands it in
listener.py   takes an address, drains at the end
connection.py HTTP/1.1 as a server speaks it: bounds and deadlines
gateway.py    door, routes, last resort for defects
intake.py     headers and body -> caller, envelope, features, situation, plan
delivery.py   one conversation: body in, bytes out, a client that goes away, a stream that waits
endpoints/    one module per group of paths
"""
