"""pydantic-ai's agents over three APIs; says the code only if all three do."""

from prompt import MODEL, PROMPT, SYSTEM, read_file
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

answers = []
for model in (OpenAIChatModel(MODEL), OpenAIResponsesModel(MODEL), AnthropicModel(MODEL)):
    agent = Agent(model, system_prompt=SYSTEM, tools=[read_file], model_settings={"temperature": 0})
    answers.append(agent.run_sync(PROMPT).output)
code = answers[0].rpartition("FH-")[2]
assert all(code in answer for answer in answers), answers
print(answers[0])
