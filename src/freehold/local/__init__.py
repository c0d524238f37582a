"""Engines on this machine: weights fetched and checked, model processes started, watched and stopped.

`weights` knows what files there should be, `pull` fetches them, `supervisor` keeps engine processes alive, and the two
`*_child` modules are those processes. A model is never loaded into the gateway's own process.
"""
