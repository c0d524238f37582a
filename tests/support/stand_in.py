"""A small process that stands in for an engine: everything but the model is real."""

HONEST = """
    import asyncio, json, sys
    settings = json.loads(sys.stdin.buffer.readline())

    async def answer(reader, writer):
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        ok = f"Bearer {settings['api_key']}".encode() in head
        body = json.dumps({"data": [{"id": settings["model"], "meta": {"n_ctx": 512}}]}).encode()
        writer.write(b"HTTP/1.1 %d x\\r\\ncontent-length: %d\\r\\n\\r\\n" % (200 if ok else 401, len(body)) + body)
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        print(json.dumps({"base_url": f"http://127.0.0.1:{port}/v1", "model": settings["model"], "slots": 3}), flush=True)
        print("loud " * 200_000, file=sys.stderr, flush=True)
        await asyncio.to_thread(sys.stdin.buffer.read)

    asyncio.run(main())
"""
