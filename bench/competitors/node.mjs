// The shortest bridge in Node.js: its HTTP server and mqtt.js; invalid JSON ends the process.
import http from 'node:http';
import mqtt from 'mqtt';

const client = mqtt.connect(`mqtt://127.0.0.1:${process.env.MQTT_PORT}`);
http.createServer((request, response) => {
  let body = '';
  request.on('data', (part) => { body += part; });
  request.on('end', () => {
    const { topic, msg, qos = 0 } = JSON.parse(body);
    client.publish(topic, msg, { qos }, (error) => {
      response.writeHead(error ? 503 : 200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ code: error ? 4 : 0 }));
    });
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
