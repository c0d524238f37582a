"""The faces that speak HTTP: endpoints in, bytes out. Parses and prints; decides nothing.

app.py        the composition root: builds everything once and hands it in
asgi.py       the ASGI callable: door, routes, last resort for defects
intake.py     headers and body -> caller, envelope, features, situation, plan
delivery.py   bytes out; notices a client that goes away; keeps waiting streams alive
endpoints/    one module per group of paths
"""
