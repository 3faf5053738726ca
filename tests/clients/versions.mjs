// Prints the versions of the packages that the tests name.
import { readFileSync } from 'node:fs';
import { Aedes } from 'aedes';
import { EventSource } from 'eventsource';
import mqtt from 'mqtt';
import converter from 'openapi-to-postmanv2';
import { chromium } from 'playwright-core';

for (const known of [Aedes.createBroker, EventSource, mqtt.connect, converter.convert, chromium.launch]) {
  if (typeof known !== 'function') throw new Error('a package is not what it was');
}
const versions = {};
for (const name of ['aedes', 'eventsource', 'mqtt', 'openapi-to-postmanv2', 'playwright-core', 'remark-cli', 'remark-validate-links']) {
  const manifest = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  versions[name] = JSON.parse(readFileSync(manifest)).version;
}
console.log(JSON.stringify(versions));
