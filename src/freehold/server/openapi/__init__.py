"""The OpenAPI document of everything that is served: made from the route table and typed shapes.

`operations` describes each route, the `*_shapes` modules hold the bodies, `document` puts them together. The shapes
are for description: requests are read by `freehold.wire`, which takes unknown fields too and keeps them in a relay.
"""

from freehold.server.openapi.document import make_document

__all__ = ["make_document"]
