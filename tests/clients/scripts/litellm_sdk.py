"""LiteLLM as a client, over two of its providers; says the code only if both do.

Not over `ollama_chat`: LiteLLM 1.81.10 sends tool results to Ollama without the calls they belong to.
"""

import json
import os

import litellm
from prompt import MODEL, MOST_TURNS, PROMPT, SCHEMA, SYSTEM, read_file

tools = [{"type": "function", "function": {"name": "read_file", "description": "Read a file", "parameters": SCHEMA}}]
answers = []
for name in (f"openai/{MODEL}", f"anthropic/{MODEL}"):
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    base = os.environ[f"{name.partition('/')[0].upper()}_API_BASE"]
    for _ in range(MOST_TURNS):
        said = litellm.completion(name, messages, tools=tools, api_base=base, temperature=0).choices[0].message
        messages.append(said.model_dump())
        for call in said.tool_calls or ():
            text = read_file(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
        if not said.tool_calls:
            answers.append(said.content)
            break
code = answers[0].rpartition("FH-")[2]
assert len(answers) == 2, answers
assert all(code in answer for answer in answers), answers
print(answers[0])
