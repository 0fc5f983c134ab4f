// Package redis stores Latchkey's entries in Redis or Valkey: on a single node,
// behind Sentinel, or on a cluster. Any number of processes can share the
// store.
//
// Import the package for [store.Open]. The URLs have the parameters of go-redis
// and these:
//
//	redis://localhost:6379/0?prefix=billing:&shards=32
//	rediss://user:password@host:6380/0?replicas=1&ack_timeout=2s
//	redis://host:7000?cluster=true&addr=host2:7000          (a cluster)
//	redis://host:26379/0?master_name=main&addr=host2:26379  (Sentinel)
//
// An application can also pass its own client to [Open].
//
// # Keys
//
// Each entry is one string, prefix{shard}:e:ID. The value of the string is
// eight bytes of version, eight bytes of due time, and the body. Each shard has
// one sorted set, prefix{shard}:due, with all its entries by due time; the
// score of an entry that is never due is +inf. The braces make a shard one hash
// slot, so that a Lua script changes an entry and its place in the set
// together. The key prefix + "meta" contains the number of shards, which is
// fixed when the store is created. With Options.Pages (pages=true in a URL),
// which is also fixed, each shard has a second sorted set, prefix{shard}:ids,
// with its IDs in order. The store publishes signals for [Store.Watch] on the
// channel prefix + "wake".
//
// Get, Put and Delete take one round trip. Claim takes one round trip if
// nothing is due, and otherwise two for each node.
//
// # Durability
//
// The durability of an acknowledged Put depends on the persistence of the
// server and on [Options.Ack]. [Store.Durability] describes the effect of
// [Options.Ack]. With appendfsync always, an acknowledged Put survives a loss
// of power. With everysec, Redis's default, up to about two seconds of writes
// may be lost. Without an append-only file, all writes since the last snapshot
// may be lost. A failover loses the writes that the replica had not received.
// Set [Ack.Replicas] to make each write wait for replicas. docs/operations.md
// has a table.
//
// # Caveats
//
// WAIT and WAITAOF make a loss improbable, but not impossible: Redis may
// promote a replica that has not acknowledged. WAITAOF needs Redis 7.2 or
// Valkey.
//
// Claims do not wait for [Options.Ack]. No guarantee rests on a claim, and a
// fleet should continue to deliver while a replica is unavailable. A Delete
// that finds no entry also does not wait.
//
// Versions are random, 63 bits each, because a counter in Redis would go back in a
// failover that loses writes.
//
// go-redis repeats failed commands. If a repeated Put finds the entry of its
// first try, it returns the result of the first try. If another write came in
// between, the repeated Put returns ErrExists or ErrConflict, as [store.Store]
// allows. A repeated Claim does not return the entries that its first try took;
// they are due again when that claim expires.
//
// While a cluster moves a slot, Redis refuses scripts whose keys are on both
// nodes. The store retries refused scripts for ten seconds. List uses INFO to
// notice that a shard has moved to another server. If access rules forbid INFO,
// a List that runs during a failover may miss entries.
//
// Scripts access keys that they find in the due set. Redis and Valkey allow
// such keys; servers that require declared keys refuse the scripts.
//
// A damaged entry is ErrCorrupt, and each claim defers it. To remove a damaged
// entry, remove its key and call Delete.
package redis
