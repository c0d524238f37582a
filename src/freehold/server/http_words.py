"""Words of HTTP/1.1 that come again and again, ready to be sent or looked up (RFC 9110)."""

_PHRASES = {
    100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 400: "Bad Request", 401: "Unauthorized",
    402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    409: "Conflict", 413: "Content Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content",
    426: "Upgrade Required", 429: "Too Many Requests", 431: "Request Header Fields Too Large", 499: "Client Closed Request",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 529: "Overloaded",
}  # fmt: skip
STATUS_LINES = {status: f"HTTP/1.1 {status} {phrase}\r\n".encode() for status, phrase in _PHRASES.items()}
HEADER_NAMES = {
    spelled.encode(): name
    for name in ("host", "content-type", "content-length", "authorization", "x-api-key", "user-agent", "accept", "connection",
                 "accept-encoding", "anthropic-version", "anthropic-beta", "x-stainless-lang", "x-stainless-package-version",
                 "x-stainless-os", "x-stainless-arch", "x-stainless-runtime", "x-stainless-runtime-version",
                 "x-stainless-retry-count", "x-stainless-timeout", "x-stainless-async", "x-stainless-read-timeout")
    for spelled in (name, name.title(), name.replace("x-stainless", "X-Stainless"))
}  # fmt: skip
"""As clients spell them: looked up faster than read."""
