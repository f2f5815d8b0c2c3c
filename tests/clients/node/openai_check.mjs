// OpenAI's SDK for Node against a gateway: `node openai_check.mjs URL KEY`, cases on standard input, one JSON line each:
// {"name", "surface": "chat"|"responses", "model", "text", "how": "unary"|"stream"|"tool"|"streamed_tool"|"error"}.
// For each a JSON line on standard output: what was seen, or which of the SDK's errors came. It judges nothing.
import { createInterface } from "node:readline";
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const clientWith = (key) => new OpenAI({ baseURL, apiKey: key ?? apiKey, maxRetries: 0, timeout: 60_000 });

const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const chatTools = [{ type: "function", function: { name: "get_weather", parameters } }];
const responseTools = [{ type: "function", name: "get_weather", parameters, strict: false }];

async function chat(client, { model, text, how }) {
  const messages = [{ role: "user", content: text }];
  if (how === "unary") {
    const answer = await client.chat.completions.create({ model, messages });
    return { text: answer.choices[0].message.content, end: answer.choices[0].finish_reason, usage: answer.usage };
  }
  if (how === "stream") {
    let said = "";
    let end = null;
    let usage = null;
    const stream = await client.chat.completions.create({
      model, messages, stream: true, stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      said += chunk.choices[0]?.delta?.content ?? "";
      end = chunk.choices[0]?.finish_reason ?? end;
      usage = chunk.usage ?? usage;
    }
    return { text: said, end, usage };
  }
  const asked =
    how === "streamed_tool"
      ? await client.chat.completions.stream({ model, messages, tools: chatTools }).finalMessage()
      : (await client.chat.completions.create({ model, messages, tools: chatTools })).choices[0].message;
  const [call] = asked.tool_calls;
  const told = await client.chat.completions.create({
    model, messages: [...messages, asked, { role: "tool", tool_call_id: call.id, content: "sunny" }], tools: chatTools,
  });
  return { called: call.function.name, with: JSON.parse(call.function.arguments), text: told.choices[0].message.content };
}

async function responses(client, { model, text, how }) {
  if (how === "unary") {
    const answer = await client.responses.create({ model, input: text });
    return { text: answer.output_text, end: answer.status, usage: answer.usage };
  }
  if (how === "stream") {
    let said = "";
    let last = null;
    for await (const event of await client.responses.create({ model, input: text, stream: true })) {
      if (event.type === "response.output_text.delta") said += event.delta;
      last = event;
    }
    return { text: said, end: last.type, usage: last.response?.usage };
  }
  const input = [{ role: "user", content: text }];
  const asked =
    how === "streamed_tool"
      ? await client.responses.stream({ model, input, tools: responseTools }).finalResponse()
      : await client.responses.create({ model, input, tools: responseTools });
  const call = asked.output.find((item) => item.type === "function_call");
  const result = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
  const sent = { type: "function_call", call_id: call.call_id, name: call.name, arguments: call.arguments };
  const told = await client.responses.create({ model, input: [...input, sent, result], tools: responseTools });
  return { called: call.name, with: JSON.parse(call.arguments), text: told.output_text };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let seen;
  try {
    seen = await (asked.surface === "chat" ? chat : responses)(clientWith(asked.key), asked);
  } catch (error) {
    const retryAfter = error.headers?.get?.("retry-after") ?? null;
    seen = { error: error.constructor.name, status: error.status ?? null, message: error.message, retryAfter };
  }
  console.log(JSON.stringify({ name: asked.name, ...seen }));
}
