"""The OpenAI SDK on Chat Completions, streamed."""

import json

import openai
from prompt import MODEL, MOST_TURNS, PROMPT, SCHEMA, SYSTEM, read_file

client = openai.OpenAI()
tools = [{"type": "function", "function": {"name": "read_file", "description": "Read a file", "parameters": SCHEMA}}]
messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
for _ in range(MOST_TURNS):
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=tools, temperature=0) as stream:
        said = stream.get_final_completion().choices[0].message
    messages.append(said.model_dump(exclude_none=True, exclude={"parsed"}))
    for call in said.tool_calls or ():
        call_id, asked = call.id, json.loads(call.function.arguments)
        messages.append({"role": "tool", "tool_call_id": call_id, "content": read_file(**asked)})
    if not said.tool_calls:
        print(said.content)
        break
