// Settings and the only flow of Node-RED: an MQTT node, a function that lets a few messages out at a time, and an HTTP
// node that says when it has an answer. Without the function all messages that the broker has are sent at once.
const fs = require('node:fs');
const path = require('node:path');

const { MQTT_PORT, ENDPOINT, TOPIC, IN_FLIGHT, NODE_RED_FOLDER: folder } = process.env;
const few = `const state = context.get("state") || { waiting: [], free: ${IN_FLIGHT} };
context.set("state", state);
if (msg.statusCode === undefined) state.waiting.push(msg); else state.free += 1;
while (state.free && state.waiting.length) { state.free -= 1; node.send({ payload: state.waiting.shift().payload }); }`;
const flow = [
  { id: 'tab', type: 'tab', label: 'webhook' },
  { id: 'broker', type: 'mqtt-broker', broker: '127.0.0.1', port: MQTT_PORT, protocolVersion: '5', keepalive: '60', clientid: 'hook', cleansession: false, sessionExpiry: '3600', autoConnect: true },
  { id: 'in', z: 'tab', type: 'mqtt in', broker: 'broker', topic: TOPIC, qos: '1', datatype: 'buffer', wires: [[IN_FLIGHT === 'all' ? 'request' : 'few']] },
  { id: 'few', z: 'tab', type: 'function', func: few, outputs: 1, wires: [['request']] },
  { id: 'request', z: 'tab', type: 'http request', method: 'POST', url: ENDPOINT, persist: true, ret: 'txt', wires: [IN_FLIGHT === 'all' ? [] : ['few']] },
];
fs.writeFileSync(path.join(folder, 'flows.json'), JSON.stringify(flow));

module.exports = {
  uiHost: '127.0.0.1',
  uiPort: Number(process.env.PORT),
  userDir: folder,
  flowFile: 'flows.json',
  credentialSecret: false,
  httpAdminRoot: false,
  logging: { console: { level: 'warn' } },
};
