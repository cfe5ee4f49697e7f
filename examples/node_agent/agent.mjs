// A small agent: it carries out what it is asked with one tool, and prints what the model says as it comes.
//
//   OPENAI_BASE_URL=... OPENAI_API_KEY=... node agent.mjs "refund order 417"

import OpenAI from "openai";

const MOST_TURNS = 10;
const model = process.env.MODEL ?? "gpt-5-mini";
const orders = new Map([["417", "paid"], ["418", "sent back"]]);

const tools = [
  {
    type: "function",
    function: {
      name: "refund",
      description: "Pay back an order.",
      parameters: {
        type: "object",
        properties: {
          order: { type: "string" },
          way: { type: "string", enum: ["card", "voucher"], description: "card unless agreed otherwise" },
        },
        required: ["order"],
      },
    },
  },
];

function refund({ order, way = "card" }) {
  if (!orders.has(order)) return `There is no order ${order}.`;
  if (way === "card" && orders.get(order) !== "paid") return "Only a paid order goes back to the card.";
  orders.set(order, "refunded");
  return `Order ${order} is refunded by ${way}.`;
}

function use({ name, arguments: given }) {
  try {
    return name === "refund" ? refund(JSON.parse(given)) : `There is no tool ${name}.`;
  } catch (error) {
    return `The call cannot be read: ${error.message}`;
  }
}

// One turn of the model; its words are printed while they come.
async function turn(client, messages) {
  const stream = client.chat.completions.stream({ model, messages, tools });
  stream.on("content", (words) => process.stdout.write(words));
  return await stream.finalMessage();
}

async function solve(request) {
  const client = new OpenAI();
  const messages = [
    { role: "system", content: "You work at the support desk of a shop." },
    { role: "user", content: request },
  ];
  for (let number = 0; number < MOST_TURNS; number++) {
    const message = await turn(client, messages);
    if (!message.tool_calls?.length) return;
    const answers = message.tool_calls.map((call) => (
      { role: "tool", tool_call_id: call.id, content: use(call.function) }
    ));
    messages.push(message, ...answers);
  }
  process.stdout.write("I could not finish this and passed it on to a colleague.");
}

const request = process.argv[2];
if (!request) {
  console.error('Say what is to be done: node agent.mjs "refund order 417"');
  process.exit(2);
}
try {
  await solve(request);
  process.stdout.write("\n");
} catch (error) {
  console.error(`The agent cannot work: ${error.message}`);
  process.exitCode = 1;
}
