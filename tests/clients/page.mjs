// Uses the page as a visitor does, in a browser without a window: page.mjs URL TOKEN [SCREENSHOT].
//
// Prints on standard error when the test should stop and start the broker; a step that does not happen fails it.
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, token, screenshot] = process.argv.slice(2);
// shorter than the timeout of the test, so that the failed step is reported
const PATIENCE = 30_000;
const LONG = 'long'.repeat(500);
const MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>';

function program() {
  const places = (process.env.PATH ?? '').split(':').map(folder => join(folder, 'chromium'));
  const found = places.find(place => {
    try { accessSync(place, constants.X_OK); return true; } catch { return false; }
  });
  if (!found) throw new Error('chromium is needed for this test: scripts/test installs it');
  return found;
}

function assert(holds, words) {
  if (!holds) throw new Error(words);
}

// Connects to the page only; as root without a sandbox.
const browser = await chromium.launch({
  executablePath: program(),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({ viewport: { width: 360, height: 740 }, colorScheme: 'light' });
context.setDefaultTimeout(PATIENCE);
const page = await context.newPage();

// Streams that the test can cut: a browser that goes offline keeps its open connections.
await page.addInitScript(() => {
  const fetched = window.fetch;
  window.fetch = async (path, options) => {
    const reply = await fetched(path, options);
    if (!path.startsWith('messages')) return reply;
    const start = control => { window.loseStream = () => control.error(new Error('lost')); };
    return new Response(reply.body.pipeThrough(new TransformStream({ start })), reply);
  };
});

const faults = [];
const listened = [];
page.on('pageerror', error => faults.push(error.stack));
page.on('console', message => {
  // the browser's own message about a response that the test caused
  const isNote = message.text().startsWith('Failed to load resource:');
  if (['error', 'warning'].includes(message.type()) && !isNote) faults.push(message.text());
});
page.on('request', request => {
  if (!request.url().startsWith(url) && !request.url().startsWith('data:')) faults.push(`asked ${request.url()}`);
  if (request.url().includes('/messages?')) listened.push(request.headers());
});

const says = (id, words) => page.locator(`#${id}`, { hasText: words }).waitFor();
const shown = words => page.locator('#messages li', { hasText: words }).first().waitFor();

async function publish(topic, payload) {
  await page.fill('#topic', topic);
  await page.fill('#payload', payload);
  await page.press('#topic', 'Enter');
}

// Every control is reached with the Tab key in the order of the page, with a visible focus.
async function walk() {
  // keyboard focus starts from the last position of the pointer
  await page.click('h1');
  const reached = [];
  for (;;) {
    await page.keyboard.press('Tab');
    const { name, outline } = await page.evaluate(() => {
      const { id, textContent, tagName } = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return { name: id || (tagName === 'BODY' ? '' : textContent), outline: `${outlineStyle} ${outlineWidth}` };
    });
    if (name === '' || reached.includes(name)) return reached.join(' ');
    assert(outline === 'solid 3px', `${name} has the focus, and cannot be seen to: ${outline}`);
    reached.push(name);
  }
}

async function fits() {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert(width <= 360, `${width} pixels wide, where there are 360`);
}

async function use() {
  const reply = await page.goto(url);
  assert(reply.status() === 200, `status ${reply.status()}`);
  await fits();

  if (token) {
    await says('state', 'a token is needed');
    await publish('page/early', 'x');
    await says('result', 'a token is needed');
    await page.press('#filter', 'Enter');
    await says('stream', 'a token is needed');
    await page.fill('#token', 'not-the-one');
    await page.press('#token', 'Tab');
    await says('state', 'this token is not known');
    await page.fill('#token', token);
    await page.press('#token', 'Tab');
  }
  await says('state', 'connected to 127.0.0.1');
  await says('subscriptions', 'subscribed to django/mqtt at QoS 1');
  const order = await walk();
  assert(order === 'token topic payload qos retain Publish filter toggle', `the keys reach ${order}`);

  // a filter outside the rights of the token, or an invalid one, is refused with a message
  await page.fill('#filter', 'page/#/x');
  await page.press('#filter', 'Enter');
  await says('stream', '`#` must be the last level');
  await page.fill('#filter', 'page/#');
  await page.press('#filter', 'Enter');
  await says('stream', 'listening to page/#');
  assert(await page.textContent('#toggle') === 'Stop', 'the button ends it');

  await publish('page/one', 'published from the form');
  await says('result', 'published to page/one');
  await shown('published from the form');
  await page.selectOption('#qos', '2');
  await publish('page/two', MARKUP);
  await shown(MARKUP);
  assert(await page.locator('#messages img, #messages b').count() === 0, 'a payload became a part of the page');
  assert(await page.title() === 'mqtt-bridge', 'a payload ran');
  await publish('page/' + LONG, LONG);
  await shown(LONG);
  await fits();
  await page.fill('#topic', 'page/+');
  await page.press('#topic', 'Enter');
  await says('result', '`topic` must not contain the wildcard `+`');
  // from the text area, in which Enter starts a line
  await page.fill('#topic', 'page/three');
  await page.fill('#payload', 'two\nlines');
  await page.press('#payload', 'Control+Enter');
  await shown('two lines');
  await page.selectOption('#qos', '0');

  if (screenshot) await picture();

  console.error('the broker may go');
  await says('state', 'not connected to 127.0.0.1');
  await publish('page/away', 'to nobody');
  await says('result', 'not sent: there was no connection');
  console.error('the broker may come');
  await page.locator('#state.good').waitFor();
  await publish('page/back', 'there again');
  await shown('there again');

  // after a lost connection to the bridge it resumes after the last message
  const before = listened.length;
  await context.setOffline(true);
  await page.evaluate(() => window.loseStream());
  await says('stream', 'trying again');
  await says('state', 'the bridge does not answer');
  await context.setOffline(false);
  await says('stream', 'listening to page/#');
  assert(listened.length > before, 'it was not asked again');
  assert(listened.at(-1)['last-event-id'], 'it was not said which message was the last');
  await publish('page/again', 'after the loss');
  await shown('after the loss');

  // limited to what a visitor can read
  await page.evaluate(async given => {
    const headers = { 'Content-Type': 'application/json', ...(given && { Authorization: `Bearer ${given}` }) };
    const messages = Array.from({ length: 300 }, (_, number) => ({ topic: 'page/many', msg: `number ${number}.` }));
    await fetch('publish/bulk', { method: 'POST', headers, body: JSON.stringify(messages) });
  }, token);
  await shown('number 299.');
  const count = await page.locator('#messages li').count();
  assert(count === 200, `${count} messages are shown`);

  // events that are rare
  const bytes = { topic: 'some/bytes', payload_base64: '/w==', qos: 1, retain: true, time: 1790000000.5 };
  const events = ['event: lagged\ndata: {"missed":7}\n\n', ': comment\r\nevent: lagged\r\ndata: {"missed":null}\r\n\r\n',
    'event: refused\ndata: {"reason_code":135,"error":"not authorized"}\n\n',
    `id: 1-1-1\nevent: message\ndata: ${JSON.stringify(bytes)}\n\n`, 'event: message\ndata: {"topic":"cut'];
  await page.route('**/messages?topic=seldom', route =>
    route.fulfill({ contentType: 'text/event-stream', body: events.join('') }));
  await page.fill('#filter', 'seldom');
  await page.press('#filter', 'Enter');
  await shown('7 messages are missing here');
  await shown('messages may be missing here');
  await shown('nothing comes for now: not authorized');
  await page.locator('#messages li', { hasText: /some\/bytes.*QoS 1, retained, base64\s*\/w==/ }).first().waitFor();
  await says('stream', 'the stream ended; trying again');

  await page.press('#filter', 'Enter');
  await says('stream', 'not listening');
  const held = await page.evaluate(() => [Object.keys(localStorage).length, document.cookie.length]);
  assert(held.every(number => number === 0), 'something outlives the tab');
  await page.emulateMedia({ colorScheme: 'dark' });
  const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert(back === 'rgb(18, 22, 28)', `in the dark the page is ${back}`);
}

// For the picture in README: wide, with realistic messages.
async function picture() {
  await page.fill('#filter', 'kitchen/#');
  await page.press('#filter', 'Enter');
  await says('stream', 'listening to kitchen/#');
  await page.evaluate(() => document.getElementById('messages').replaceChildren());
  await publish('kitchen/climate', '{"celsius":21.5,"humidity":0.43}');
  await shown('celsius');
  await publish('kitchen/door', 'open');
  await shown('open');
  await publish('kitchen/light', 'on');
  await shown('kitchen/light');
  await page.setViewportSize({ width: 960, height: 740 });
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.screenshot({ path: screenshot });
  await page.setViewportSize({ width: 360, height: 740 });
  await page.fill('#filter', 'page/#');
  await page.press('#filter', 'Enter');
  await says('stream', 'listening to page/#');
}

try {
  await use();
  assert(faults.length === 0, `the browser has complaints: ${faults.join('\n')}`);
} catch (error) {
  console.error(error.stack);
  console.error(`the page said: ${await page.evaluate(() => document.body.innerText)}`);
  console.error(`complaints: ${faults.join('\n')}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
