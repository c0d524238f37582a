"""The OpenAI SDK on Responses, streamed."""

import json

import openai
from prompt import MODEL, MOST_TURNS, PROMPT, SCHEMA, SYSTEM, read_file

client = openai.OpenAI()
tools = [{"type": "function", "name": "read_file", "description": "Read a file", "parameters": SCHEMA, "strict": False}]
items = [{"role": "user", "content": PROMPT}]
for _ in range(MOST_TURNS):
    with client.responses.stream(
        model=MODEL, instructions=SYSTEM, input=items, tools=tools, store=False, temperature=0
    ) as stream:
        said = stream.get_final_response()
    calls = [item for item in said.output if item.type == "function_call"]
    items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments", "status"}) for item in said.output]
    for call in calls:
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": read_file(**json.loads(call.arguments))})
    if not calls:
        print(said.output_text)
        break
