// A publisher or a subscriber on mqtt.js, told what to do in JSON: see paho_client.py.
//
//     node mqttjs_client.mjs PORT VERSION pub
//     node mqttjs_client.mjs PORT VERSION sub QOS FILTER...
//     node mqttjs_client.mjs PORT VERSION work ID QOS FILTER    5.0: a payload that begins with "bad" is
//                                                               answered with PUBACK 0x83
//
// PORT is one of TCP, or a whole URL such as ws://127.0.0.1:9347/mqtt.
import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'

const [port, version, verb, ...rest] = process.argv.slice(2)

function propertiesOf(given) {
  const made = {}
  if ('contentType' in given) made.contentType = given.contentType
  if ('responseTopic' in given) made.responseTopic = given.responseTopic
  if ('expiry' in given) made.messageExpiryInterval = given.expiry
  if ('payloadFormat' in given) made.payloadFormatIndicator = given.payloadFormat === 1
  if ('correlation64' in given) made.correlationData = Buffer.from(given.correlation64, 'base64')
  for (const [name, value] of given.user ?? []) {
    made.userProperties ??= {}
    made.userProperties[name] = [...(made.userProperties[name] ?? []), value]
  }
  return made
}

function propertiesTold(found) {
  const told = {}
  if (found.contentType !== undefined) told.contentType = found.contentType
  if (found.responseTopic !== undefined) told.responseTopic = found.responseTopic
  if (found.messageExpiryInterval !== undefined) told.expiry = found.messageExpiryInterval
  if (found.payloadFormatIndicator !== undefined) told.payloadFormat = found.payloadFormatIndicator ? 1 : 0
  if (found.correlationData !== undefined) told.correlation64 = found.correlationData.toString('base64')
  if (found.userProperties !== undefined) {
    told.user = Object.entries(found.userProperties)
      .flatMap(([name, values]) => [].concat(values).map((value) => [name, value]))
  }
  return told
}

async function publishAll(client) {
  const lines = readFileSync(0, 'utf8').split('\n').filter((line) => line !== '')
  await Promise.all(lines.map((line) => {
    const one = JSON.parse(line)
    const options = { qos: one.qos ?? 0, retain: one.retain ?? false }
    if (version === '5' && one.properties) options.properties = propertiesOf(one.properties)
    return client.publishAsync(one.topic, Buffer.from(one.payload64, 'base64'), options)
  }))
  await client.endAsync()
}

const working = verb === 'work'
const options = { protocolVersion: Number(version), reconnectPeriod: 0 }
if (working) options.clientId = rest.shift()
if (working && version === '5') {
  options.customHandleAcks = (topic, payload, packet, done) => {
    done(payload.toString().startsWith('bad') ? 0x83 : 0)
  }
}
const client = await mqtt.connectAsync(/^\d+$/.test(port) ? `mqtt://127.0.0.1:${port}` : port, options)
if (working) {
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'suback') {
      console.log(JSON.stringify({ granted: packet.granted, reason: packet.properties?.reasonString ?? null }))
    }
  })
}
if (verb === 'pub') {
  await publishAll(client)
} else {
  client.on('message', (topic, payload, packet) => {
    console.log(JSON.stringify({
      topic,
      payload64: payload.toString('base64'),
      qos: packet.qos,
      retain: packet.retain,
      properties: propertiesTold(packet.properties ?? {})
    }))
  })
  await client.subscribeAsync(rest.slice(1), { qos: Number(rest[0]) }).catch((err) => {
    if (!working) throw err // what was granted has been told
  })
}
