// A short webhook in Node.js: mqtt.js, and fetch or node:http. mqtt.js handles one message at a time, and acknowledges
// it after handleMessage. More at a time take a private function of mqtt.js, and acknowledge in another order than MQTT
// demands.
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import mqtt from 'mqtt';

const { MQTT_PORT, ENDPOINT, TOPIC, IN_FLIGHT, CLIENT, KEEP_ALIVE = '60' } = process.env;
const properties = { sessionExpiryInterval: 3600, receiveMaximum: Number(IN_FLIGHT) };
const session = { protocolVersion: 5, clientId: 'hook', clean: false, keepalive: Number(KEEP_ALIVE), properties };
const client = mqtt.connect(`mqtt://127.0.0.1:${MQTT_PORT}`, session);
client.on('connect', () => client.subscribe(TOPIC, { qos: 1 }));

const agent = new http.Agent({ keepAlive: true });
const clients = {
  fetch: (body) => fetch(ENDPOINT, { method: 'POST', body, signal: AbortSignal.timeout(15_000) }).then((response) => response.ok),
  http: (body) => new Promise((resolve, reject) => {
    const request = http.request(ENDPOINT, { method: 'POST', agent, timeout: 15_000 }, (response) => {
      response.resume().on('end', () => resolve(Math.floor(response.statusCode / 100) === 2));
    });
    request.on('timeout', () => request.destroy()).on('error', reject).end(body);
  }),
};

async function deliver(body) {
  while (!await clients[CLIENT](body).catch(() => false)) await pause(1000);
}

// with a reason, mqtt.js goes on without an acknowledgement
const LATER = new Error('acknowledged later');
let free = Number(IN_FLIGHT);
let goOn = () => {};
client.handleMessage = async ({ payload, messageId }, done) => {
  if (IN_FLIGHT === '1') return deliver(payload).then(() => done());
  free -= 1;
  if (free) done(LATER); else goOn = done;
  await deliver(payload);
  client._sendPacket({ cmd: 'puback', messageId, reasonCode: 0 });
  free += 1;
  // which may come back here at once, with the next message
  const resume = goOn;
  goOn = () => {};
  resume(LATER);
};
