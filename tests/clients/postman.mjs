// Makes a Postman collection from the OpenAPI document at a URL, and sends its publishing requests unchanged but for
// the values.
import converter from 'openapi-to-postmanv2';

const [url, token] = process.argv.slice(2);
const data = await (await fetch(`${url}/openapi.json`)).text();
const { result, reason, output } = await new Promise((resolve, reject) =>
  converter.convert({ type: 'string', data }, {}, (error, made) => (error ? reject(error) : resolve(made))));
if (!result) throw new Error(reason);
const collection = output[0].data;
const [base] = collection.variable;
if (base.key !== 'baseUrl' || base.value !== url) throw new Error(JSON.stringify(collection.variable));

const requests = [];
const walk = (items) => items.forEach((item) => (item.item ? walk(item.item) : requests.push(item.request)));
walk(collection.item);
const of = (method, path) => {
  const found = requests.find((request) => request.method === method && request.url.path.join('/') === path);
  if (!found) throw new Error(`no ${method} ${path}`);
  return found;
};

// values for placeholders such as <string>; the rest is left out
const values = { topic: 'kitchen/light', msg: 'on', qos: 1, retain: true, payload_encoding: 'plain', payload: 'on' };
const filled = (fields) => {
  for (const name of ['topic', 'qos']) if (!(name in fields)) throw new Error(`no ${name} in ${JSON.stringify(fields)}`);
  return Object.fromEntries(Object.keys(fields).filter((name) => name in values).map((name) => [name, values[name]]));
};
const send = async (request, path, body) => {
  const headers = { Authorization: `Bearer ${token}` };
  for (const { key, value } of request.header) if (key === 'Content-Type') headers[key] = value;
  const reply = await fetch(base.value + path, { method: request.method, headers, body });
  const text = await reply.text();
  if (reply.status !== 200) throw new Error(`${path} ${JSON.stringify(headers)} ${body}: ${reply.status} ${text}`);
  console.log(request.method, path);
};

for (const path of ['publish', 'publish/bulk', 'api/v5/publish', 'api/v5/publish/bulk']) {
  const request = of('POST', path);
  const body = JSON.parse(request.body.raw);
  await send(request, `/${path}`, JSON.stringify(Array.isArray(body) ? body.map(filled) : filled(body)));
}
for (const method of ['POST', 'PUT']) {
  const request = of(method, 'topics/:topic');
  const asked = request.url.query.map(({ key }) => key).filter((key) => key in values);
  const query = asked.map((key) => `${key}=${values[key]}`).join('&');
  if (query !== 'qos=1&retain=true') throw new Error(query);
  await send(request, `/topics/kitchen/light?${query}`, 'on');
}
await send(of('DELETE', 'topics/:topic'), '/topics/kitchen/light');
for (const path of ['request', 'subscribe', 'unsubscribe']) JSON.parse(of('POST', path).body.raw).topic.length;
