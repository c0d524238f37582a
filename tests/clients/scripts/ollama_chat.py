"""The Ollama client, streamed."""

import ollama
from prompt import MODEL, MOST_TURNS, PROMPT, SYSTEM, read_file

messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
for _ in range(MOST_TURNS):
    text, calls, thought = "", [], ""
    for piece in ollama.chat(model=MODEL, messages=messages, tools=[read_file], stream=True, options={"temperature": 0}):
        text += piece.message.content or ""
        thought += piece.message.thinking or ""
        calls += piece.message.tool_calls or ()
    messages.append({"role": "assistant", "content": text, "thinking": thought, "tool_calls": calls})
    for call in calls:
        messages.append({"role": "tool", "tool_name": call.function.name, "content": read_file(**call.function.arguments)})
    if not calls:
        print(text)
        break
