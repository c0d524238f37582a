// The Vercel AI SDK over three providers; says the code only if all three do.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFile } from "node:fs/promises";

// The packages lie beside none of our files: they are found from the folder they were installed into.
const from = createRequire(`${process.env.NODE_HOME}/package.json`);
const load = (name) => import(pathToFileURL(from.resolve(name)).href);
const { generateText, jsonSchema, stepCountIs, streamText, tool } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createAnthropic } = await load("@ai-sdk/anthropic");

const file = process.argv[2];
const [baseURL, apiKey, model] = [process.env.OPENAI_BASE_URL, process.env.OPENAI_API_KEY, process.env.OPENAI_MODEL];
const models = [
  createOpenAICompatible({ name: "freehold", baseURL, apiKey })(model),
  createOpenAI({ baseURL, apiKey }).responses(model),
  createAnthropic({ baseURL, apiKey })(model),
];
const asked = {
  system: "You are a helpful assistant.",
  prompt: `Read the file ${file} with your tool and answer with the code that stands in it.`,
  temperature: 0,
  stopWhen: stepCountIs(4),
  tools: {
    read_file: tool({
      description: "Read a file",
      inputSchema: jsonSchema({ type: "object", properties: { path: { type: "string" } }, required: ["path"] }),
      execute: ({ path }) => readFile(path, "utf8"),
    }),
  },
};
// Nothing is stored by the gateway: without this the SDK refers to items of earlier answers by their id.
const providerOptions = { openai: { store: false } };
const answers = [];
for (const model of models) {
  answers.push((await generateText({ model, providerOptions, ...asked })).text);
  answers.push(await streamText({ model, providerOptions, ...asked }).text);
}
const code = answers[0].split("FH-")[1];
if (!code || !answers.every((answer) => answer.includes(code))) throw new Error(JSON.stringify(answers));
console.log(answers[0]);
