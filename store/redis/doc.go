// Package redis keeps Latchkey's entries in Redis or Valkey, where any number
// of processes share them: on a single node, behind Sentinel or on a cluster.
//
// Import it for [store.Open], with these parameters beside go-redis's own:
//
//	redis://localhost:6379/0?prefix=billing:&shards=32
//	rediss://user:password@host:6380/0?replicas=1&ack_timeout=2s
//	redis://host:7000?cluster=true&addr=host2:7000          (a cluster)
//	redis://host:26379/0?master_name=main&addr=host2:26379  (Sentinel)
//
// or hand [Open] the client that the application has.
//
// # What is kept
//
// Each entry is one string, prefix{shard}:e:ID: eight bytes of version, eight
// of due time, the body. Each shard has one sorted set, prefix{shard}:due, of
// all its entries by due time, those that are never due at +inf. The braces
// make a shard one hash slot, so that Lua scripts change an entry and its place
// in the set together. The number of shards is kept in prefix meta when the
// first process opens the store; it is for the store's life. With Options.Pages
// (pages=true in a URL), also for life, each shard has a second sorted set,
// prefix{shard}:ids, of its IDs in order. Signals for [Store.Watch] are published
// on the channel prefix wake.
//
// Get, Put and Delete take one round trip each, Claim one when nothing is due
// and else two for each node.
//
// # Durability
//
// A Put that returned nil is as durable as the server's persistence makes it,
// and [Store.Durability] says what the store itself adds. With appendfsync
// always it survives the loss of the process and of the machine's power; with
// everysec, Redis's own default for its append-only file, up to about two
// seconds of writes may go; without the file, everything since the last
// snapshot. A fail-over loses what the replica hadn't received: set
// [Ack.Replicas] to have each write wait for replicas. docs/operations.md has
// the table.
//
// # Caveats
//
// WAIT and WAITAOF make a loss improbable, not impossible: Redis may promote a
// replica that is not one of those that acknowledged.
//
// Claims aren't acknowledged, whatever [Options.Ack] says: no guarantee rests
// on a claim, and a fleet should go on delivering while a replica is away. Nor
// is a Delete that found nothing.
//
// Versions are drawn at random, 63 bits each, since a counter kept in Redis
// would go back in a fail-over that loses writes. That two of one entry's are
// the same is as improbable as that two random UUIDs' halves are.
//
// go-redis repeats what failed on its way. Where a repeated Put finds what its
// earlier try has stored it answers as that one would have; where another write
// came between it answers ErrExists or ErrConflict, as [store.Store] says it
// may. A repeated Claim leaves what its earlier try took until that lapses.
//
// While a cluster moves a slot, Redis refuses scripts whose keys are partly on
// one node and partly on the other. They are tried again for ten seconds. List
// needs INFO to notice that a shard's set has come to another server; where
// access rules forbid it, a list that runs during a fail-over may miss entries.
//
// Scripts name entries that they find in the due set, which servers that
// insist on declared keys refuse. Redis and Valkey don't.
//
// An entry that is damaged is ErrCorrupt, and claims put it off again and
// again, until somebody removes its key and calls Delete.
package redis
