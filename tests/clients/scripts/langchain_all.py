"""LangChain's three chat models with a bound tool; says the code only if all three do."""

import os

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from prompt import MODEL, MOST_TURNS, PROMPT, SYSTEM, read_file

models = [
    ChatOpenAI(model=MODEL, temperature=0),
    ChatOpenAI(model=MODEL, use_responses_api=True, temperature=0),
    ChatAnthropic(model=MODEL, max_tokens=1024, temperature=0),
    ChatOllama(model=MODEL, base_url=os.environ["OLLAMA_HOST"], temperature=0),
]
answers = []
for model in models:
    bound, messages = model.bind_tools([read_file]), [SystemMessage(SYSTEM), HumanMessage(PROMPT)]
    for _ in range(MOST_TURNS):
        said = bound.invoke(messages)
        messages.append(said)
        for call in said.tool_calls:
            messages.append(ToolMessage(read_file(**call["args"]), tool_call_id=call["id"]))
        if not said.tool_calls:
            answers.append(said.text)
            break
code = answers[0].rpartition("FH-")[2]
assert len(answers) == len(models), answers
assert all(code in answer for answer in answers), answers
print(answers[0])
