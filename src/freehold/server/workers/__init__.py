"""Several processes behind one address: a parent that owns the socket and the engines, workers that serve.

messages.py   what parent and workers say to one another, over the workers' standard input and output
parent.py     binds, runs the engines, starts workers, restarts and replaces them
worker.py     one serving process
told.py       the engines as a worker knows them: by what the parent tells
"""
