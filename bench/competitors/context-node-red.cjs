// Settings and the only flow of Node-RED: an HTTP node, a function that answers when the message is in the file of the
// context, and the response. Without `cache: false` the answer would come before the file is written. Node-RED writes
// the whole context each time, so only the last messages are kept: a longer queue would make it slower.
const fs = require('node:fs');
const path = require('node:path');

const { PORT, KEPT, NODE_RED_FOLDER: folder } = process.env;
const keep = `const state = context.get("state", "memory") || { next: 0 };
context.set("state", state, "memory");
state.next = (state.next + 1) % ${KEPT};
flow.set("m" + state.next, msg.payload, "disk", (error) => {
  msg.statusCode = error ? 507 : 202;
  msg.payload = { code: error ? 15 : 0 };
  node.send(msg);
});`;
const flow = [
  { id: 'tab', type: 'tab', label: 'store' },
  { id: 'in', z: 'tab', type: 'http in', url: '/publish', method: 'post', wires: [['keep']] },
  { id: 'keep', z: 'tab', type: 'function', func: keep, outputs: 1, wires: [['answer']] },
  { id: 'answer', z: 'tab', type: 'http response', wires: [] },
];
fs.writeFileSync(path.join(folder, 'flows.json'), JSON.stringify(flow));

module.exports = {
  uiPort: Number(PORT),
  uiHost: '127.0.0.1',
  userDir: folder,
  flowFile: 'flows.json',
  credentialSecret: false,
  httpAdminRoot: false,
  contextStorage: {
    default: 'memory',
    memory: { module: 'memory' },
    disk: { module: 'localfilesystem', config: { cache: false } },
  },
  logging: { console: { level: 'warn' } },
};
