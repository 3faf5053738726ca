// Subscribes at QoS 2 or publishes with mqtt.js, and prints received messages on standard error.
//
// usage: mqtt_client.mjs PORT PROTOCOL subscribe TOPIC
//        mqtt_client.mjs PORT PROTOCOL publish TOPIC QOS PAYLOAD
import mqtt from 'mqtt';

const [port, protocol, what, topic, qos, payload] = process.argv.slice(2);
const tell = (line) => process.stderr.write(`${line}\n`);
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: protocol === '5' ? 5 : 4 });
// set before the connection, so that messages right after the CONNACK are printed too
client.on('message', (_, message, packet) => {
  tell(`message ${packet.qos} ${Number(packet.retain)} ${message.toString('hex')}`);
});
await new Promise((resolve, reject) => client.once('connect', resolve).once('error', reject));
if (what === 'subscribe') {
  const [granted] = await client.subscribeAsync(topic, { qos: 2 });
  tell(`subscribed ${granted.qos}`);
} else {
  await client.publishAsync(topic, payload, { qos: Number(qos) });
  await client.endAsync();
}
