/* clients/javascript/weir.d.ts - the types of weir.js. What each thing means is said there and in docs/javascript.md. */

export type Status = "connecting" | "open" | "resuming" | "closed";
export type Level = "memory" | "os" | "disk" | "replicated";
export type Bytes = ArrayBuffer | ArrayBufferView;
/** Text and bytes as they are, null as a tombstone, anything else as JSON. */
export type Data = string | Bytes | null | number | boolean | object;

export interface ConnectOptions {
  token?: string;
  /** A name, for people. */
  clientId?: string;
  /** Ends the connection for good. */
  signal?: AbortSignal;
  /** A constructor; Node before 22 has none: pass that of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => any;
  /** Commands that may wait for a connection (1000). 0: fail with "disconnected" at once. */
  queueMax?: number;
  /** Silence after which the gateway is asked whether it lives (15000). 0: never. */
  pingMs?: number;
  /** How long connect tries (30000). 0: for ever. */
  connectMs?: number;
  /** Wait between tries: doubles from minMs (100) to maxMs (10000). */
  backoff?: { minMs?: number; maxMs?: number };
}

export interface RecordOptions {
  /** Then the first argument is a topic. null: no key. */
  key?: string | Bytes | null;
  headers?: { [name: string]: string | Bytes | null } | Map<string, string | Bytes | null> |
    Array<[string, string | Bytes | null]>;
  /** Seconds. */
  expiry?: number;
  contentType?: string;
  reply?: string;
  correlation?: string;
  traceparent?: string;
  /** The value becomes the retained one of its name; an empty one or null clears it. */
  retain?: boolean;
  /** Effectively once: a name of your own, and a number that rises with each record of that name. A
   *  record whose number is not above the last one is not stored again, and told as `duplicate`. */
  producer?: string;
  publishingId?: number;
}

export interface PublishOptions extends RecordOptions {
  /** "none": not answered, unless it fails: then as the event "error". */
  confirm?: "level" | "none";
}

export interface Published {
  /** null: a live name, which is not kept. */
  partition: number | null;
  offset: number | null;
  level: Level;
  live: boolean;
  /** It was stored before, and not again; offset and time are null. */
  duplicate: boolean;
  /** Unix milliseconds. */
  time: number | null;
}

export interface ManyRecord extends RecordOptions {
  name?: string;
  data: Data;
}

export interface Position {
  topic: string;
  partition: number;
  offset: number;
}

export type From = "end" | "beginning" | `last:${number}` | number | Date | { time: number | string | Date } |
  Position[];

export interface SubscribeOptions {
  from?: From;
  /** Records that may wait here (256). */
  credit?: number;
  /** "pause": they wait in the log. "drop-oldest": the oldest of `credit` waiting ones goes. "last-value":
   *  of each name only the newest waits. */
  onSlow?: "pause" | "drop-oldest" | "last-value";
  /** First the retained values of names that match. */
  retained?: boolean;
  /** Ends when what was there at the beginning has come. */
  untilEnd?: boolean;
  signal?: AbortSignal;
}

export class Message {
  /** null: a live name. */
  readonly topic: string | null;
  readonly name: string;
  readonly key: string | Uint8Array | null;
  readonly partition: number | null;
  readonly offset: number | null;
  /** Unix milliseconds. */
  readonly time: number;
  readonly live: boolean;
  readonly retained: boolean;
  readonly tombstone: boolean;
  readonly headers: { [name: string]: string | Uint8Array | null };
  readonly headerList: Array<[string, string | Uint8Array | null]>;
  readonly contentType: string | null;
  readonly reply: string | null;
  readonly correlation: string | null;
  readonly traceparent: string | null;
  readonly expiry: number | null;
  /** As it came. */
  readonly record: any;
  bytes(): Uint8Array | null;
  text(): string | null;
  json(): any;
}

export interface Gap {
  filter: string;
  /** true: live names that were published while there was no connection are lost, if there were any. */
  live: boolean;
  topic?: string;
  partition?: number;
  /** Offsets [from, to) of a partition could not be read. */
  from?: number;
  to?: number;
}

export interface Subscription extends AsyncIterableIterator<Message> {
  readonly filter: string;
  /** What is published after this has resolved will come. */
  readonly ready: Promise<void>;
  readonly dropped: number;
  readonly replaced: number;
  /** Behind what was taken; `from` takes them. */
  readonly positions: Position[];
  close(): Promise<void>;
  on(type: "gap", listener: (gap: Gap) => void): () => void;
  on(type: "dropped", listener: (dropped: { filter: string; count: number }) => void): () => void;
  off(type: string, listener: (value: any) => void): void;
}

export type Model = "stream" | "queue";
export type Mode = "at-most-once" | "at-least-once" | "client-commit";

/** What a living group can be changed to. -1: no limit. */
export interface GroupChange {
  mode?: Mode;
  removed?: "beginning" | "end" | "error";
  deadLetter?: string;
  sessionMs?: number;
  expiryMs?: number;
  leaseMs?: number;
  deliveryLimit?: number;
  leasedMax?: number;
  unsettledMax?: number;
  keyOrdered?: boolean;
  singleActive?: boolean;
  retryDelayMs?: number;
  /** Queues: what is not settled may be so much; -1: any. */
  maxRecords?: number;
  maxBytes?: number;
  /** Beyond that; publishes that are refused reject with "queue-full". */
  overflow?: "refuse" | "drop-oldest" | "dead-letter";
}

export interface GroupOptions extends GroupChange {
  model?: Model;
  /** One of topic, topics and filter. */
  topic?: string;
  topics?: string[];
  filter?: string;
  start?: "beginning" | "end";
}

export interface MemberOptions extends GroupOptions {
  /** The member's name, for people. */
  member?: string;
  /** Streams: takes its partitions up again when it comes back within sessionMs. */
  instance?: string;
  /** Queues: records that may be unsettled here; streams: that may wait here (256). */
  credit?: number;
  /** false: leases are not renewed by themselves. */
  renew?: boolean;
  /** Streams: partitions go to others when this has been done; commit what was read of them. */
  onRevoked?: (partitions: Owned[]) => void | Promise<void>;
  signal?: AbortSignal;
}

export interface Owned {
  topic: string;
  partition: number;
}

export interface Outcome {
  settled?: number;
  refused: number;
  level?: Level;
  lease_ms?: number;
}

export class GroupMessage extends Message {
  /** In which it was handed out. */
  readonly mode: Mode;
  /** Times it was handed out, this one included. */
  readonly leased: number;
  readonly failed: number;
  accept(): Promise<Outcome>;
  release(options?: { delayMs?: number; failed?: boolean; reason?: string }): Promise<Outcome>;
  reject(reason?: string): Promise<Outcome>;
  renew(): Promise<Outcome>;
}

export interface Member extends AsyncIterableIterator<GroupMessage> {
  readonly group: string;
  readonly model: Model | null;
  readonly ready: Promise<void>;
  close(): Promise<void>;
  on(type: "assigned", listener: (assigned: { generation: number; partitions: Owned[]; revoked: Owned[] }) => void):
    () => void;
  on(type: "fenced", listener: (fenced: { group: string }) => void): () => void;
  off(type: string, listener: (value: any) => void): void;
}

/** As weir.v1 tells it: docs/weir.v1.md section 8. */
export interface Group {
  group: string;
  model: Model;
  mode: Mode;
  members: any[];
  partitions: any[];
  fates: { [fate: string]: number };
  lag: number;
  lag_ms: number;
  [setting: string]: any;
}

export interface Topic {
  topic: string;
  partitions: number;
  durability: Level;
  nested: boolean;
  partition_levels: number;
  cleanup: Cleanup;
  retention_ms: number;
  retention_bytes: number;
  segment_bytes: number;
  segment_ms: number;
  delete_retention_ms: number;
  min_compaction_lag_ms: number;
  retention_unsettled: "expire" | "keep";
  retention_unsettled_bytes: number;
  /** What retention leaves for groups, and the group that is furthest behind; missing: nothing. */
  held_bytes?: number;
  held_by?: string;
}

export type Cleanup = "delete" | "compact" | "compact,delete";

/** What a living topic can be changed to. -1: no limit. */
export interface TopicChange {
  partitions?: number;
  durability?: Level;
  cleanup?: Cleanup;
  retentionMs?: number;
  retentionBytes?: number;
  segmentBytes?: number;
  segmentMs?: number;
  deleteRetentionMs?: number;
  minCompactionLagMs?: number;
  /** "keep": retention leaves what a group has not settled, up to retentionUnsettledBytes. */
  retentionUnsettled?: "expire" | "keep";
  retentionUnsettledBytes?: number;
}

export interface TopicOptions extends TopicChange {
  nested?: boolean;
  partitionLevels?: number;
  /** "queue": it has a group of its own name, and keeps a record until that has settled it. */
  kind?: "log" | "queue";
}

export interface Offsets {
  partition: number;
  start: number;
  end: number;
  found?: number;
}

export interface Weir {
  readonly status: Status;
  readonly url: string;
  readonly gateway: {
    version: number;
    server: string;
    session: string;
    push: boolean;
    limits: { [name: string]: number };
    durability: Level[];
  } | null;
  on(type: "status", listener: (status: Status) => void): () => void;
  on(type: "error", listener: (error: WeirError) => void): () => void;
  on(type: "drain", listener: (text: string) => void): () => void;
  off(type: string, listener: (value: any) => void): void;
  publish(name: string, data: Data, options: PublishOptions & { confirm: "none" }): Promise<null>;
  publish(name: string, data: Data, options?: PublishOptions): Promise<Published>;
  publishMany(topic: string | null, records: ManyRecord[]): Promise<Array<Published | WeirError>>;
  subscribe(filter: string, options?: SubscribeOptions): Subscription;
  group(name: string, options?: MemberOptions): Member;
  createGroup(group: string, options?: GroupOptions): Promise<Group>;
  alterGroup(group: string, options: GroupChange): Promise<Group>;
  deleteGroup(group: string, options?: { force?: boolean }): Promise<void>;
  groups(): Promise<Group[]>;
  groupInfo(group: string): Promise<Group>;
  resetGroup(group: string, to: "beginning" | "end" | number | { time: number | string } | { shift: number },
    options?: { topic?: string; partition?: number; dryRun?: boolean }): Promise<Group>;
  why(topic: string, partition: number, offset: number, options?: { group?: string }):
    Promise<Story>;
  fetch(topic: string, partition?: number, offset?: number, options?: { maxBytes?: number; waitMs?: number; peek?: boolean }):
    Promise<{ records: Message[]; start: number; end: number; next: number }>;
  lastPublishingId(producer: string, topic: string, partition?: number): Promise<number | null>;
  topics(): Promise<Topic[]>;
  offsets(topic: string, options?: { time?: number | string | Date }): Promise<Offsets[]>;
  createTopic(topic: string, options?: TopicOptions): Promise<Topic>;
  alterTopic(topic: string, options: TopicChange): Promise<Topic>;
  trimTopic(topic: string, before: number | "end", partition?: number): Promise<Topic>;
  deleteTopic(topic: string): Promise<void>;
  query(what: "stats" | "limits" | "topics" | "health"): Promise<any>;
  ping(): Promise<number>;
  close(): Promise<void>;
}

export interface Story {
  /** Oldest first. */
  lines: Array<{ time: number; group: string; event: string; fate: string; reason?: string; member?: string;
    origin?: string; leased: number; failed: number;
    /** Where the dead letter stands that it became. */
    letter?: { topic: string; partition: number; offset: number } }>;
  /** How it stands: "waiting", "leased", "handed", "delayed", "moving", "settled", "before", "unmatched". */
  groups: Array<{ group: string; state: string; member?: string; origin?: string; until?: number; before?: number;
    leased: number; failed: number }>;
  /** null: it is gone. */
  record: { stored: number; key?: string; key_base64?: string; bytes: number; headers: number } | null;
  /** What happened before is not kept; 0: everything is. */
  from: number;
  leftOut: number;
  damaged: boolean;
}

export class WeirError extends Error {
  constructor(code: string, text: string, field?: string | null);
  /** docs/weir.v1.md section 10, or "disconnected", "unknown", "aborted". */
  readonly code: string;
  readonly field: string | null;
  readonly text: string;
}

export function connect(url?: string | URL | null, options?: ConnectOptions): Promise<Weir>;
export default connect;
