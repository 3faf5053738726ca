// Settings and the only flow of Node-RED: an HTTP node, a function, an MQTT node and the response.
const fs = require('node:fs');
const path = require('node:path');

const folder = process.env.NODE_RED_FOLDER;
const take = 'const { topic, msg: payload } = msg.payload;\n'
  + 'if (typeof topic !== "string") { msg.statusCode = 400; msg.payload = { code: 3 }; return [null, msg]; }\n'
  + 'msg.payload = { code: 0 };\nreturn [{ topic, payload }, msg];';
const flow = [
  { id: 'tab', type: 'tab', label: 'publish' },
  { id: 'broker', type: 'mqtt-broker', broker: '127.0.0.1', port: process.env.MQTT_PORT, protocolVersion: '4', keepalive: '60', cleansession: true },
  { id: 'in', z: 'tab', type: 'http in', url: '/publish', method: 'post', wires: [['take']] },
  { id: 'take', z: 'tab', type: 'function', func: take, outputs: 2, wires: [['out'], ['answer']] },
  { id: 'out', z: 'tab', type: 'mqtt out', broker: 'broker', qos: '0', wires: [] },
  { id: 'answer', z: 'tab', type: 'http response', wires: [] },
];
fs.writeFileSync(path.join(folder, 'flows.json'), JSON.stringify(flow));

module.exports = {
  uiPort: Number(process.env.PORT),
  uiHost: '127.0.0.1',
  userDir: folder,
  flowFile: 'flows.json',
  credentialSecret: false,
  httpAdminRoot: false,
  logging: { console: { level: 'warn' } },
};
