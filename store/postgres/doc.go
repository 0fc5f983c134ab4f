// Package postgres stores Latchkey's entries in PostgreSQL 13 or newer. Any
// number of processes can share the store, and an application can write an
// answer in the same transaction as its own rows. The package is a module of
// its own, and uses github.com/jackc/pgx/v5.
//
//	if err := postgres.Migrate(ctx, postgres.Options{Pool: pool}); err != nil { … }
//	s, err := postgres.Open(ctx, postgres.Options{Pool: pool})
//
// To use the package with [store.Open], import it:
//
//	postgres://user:password@localhost:5432/app?migrate=true
//	postgres://user:password@localhost/app?schema=billing&table_prefix=answers_
//	postgres://user:password@/app?host=db1,db2&port=5432,5432&pool_max_conns=20
//
// The parameters schema and table_prefix are those of [Options]; migrate=true
// calls [Migrate]. The other parameters are those of pgx and of its pool. If
// the URL names several hosts, the store uses the one that accepts writes.
//
// # Tables
//
// [Migrate] creates the tables. A migration tool can also create them with the
// SQL of [Migrations]. [Open] never creates or changes a table. [Open] returns
// [ErrSchema] if the tables are missing or belong to another release.
//
//	latchkey_versions         one row for each migration that was run
//	latchkey_entries          one row for each entry
//	    id       text COLLATE "C"   compared byte by byte, whatever the locale
//	    version  bigint             62 random bits
//	    due      bigint             Unix milliseconds; NULL is never
//	    body     bytea
//	    sum      integer            CRC-32 of ID and body
//	latchkey_entries_due      partial index of the due times
//
// The role that opens the store needs USAGE on the schema, SELECT on
// latchkey_versions, and SELECT, INSERT, UPDATE and DELETE on latchkey_entries.
//
// Versions are random, because a sequence goes back when a server loses its
// last writes. A server loses writes in a failover to a standby that was
// behind, or in a crash with synchronous_commit off. A sequence would then give
// a version twice. An entry that does not match its checksum is
// store.ErrCorrupt; DELETE its row to remove it.
//
// # Cost
//
// Get, Put and Claim take one round trip each. A claim reads the head of an index,
// and writes nothing if nothing is due. If other transactions have locked all
// due entries, Claim waits for one of them, and checks again every half second.
// Delete takes a second round trip if the entry has another version or is gone.
//
// If a connection ends before the server has replied to a write, for example
// because a context ends, the server may still commit the write. The next call
// for the same entry first waits until the server has ended the session, for at
// most five seconds after the write. A write that the server commits later than
// that can still take effect. After a claim, the next claim waits. Behind a
// pooler, such a call waits at least 200 ms, and for all writes of the store that
// had begun by then. Calls within a transaction of the application do not wait.
//
// # Wake-ups, pages and counts
//
// After a write that makes an entry due within [store.WatchAhead], the store
// sends a NOTIFY, which [Store.Watch] passes on. Page and Count implement
// [store.Pager] and [store.Counter]; Count is an estimate beyond 10,000
// entries.
//
// # Durability
//
// An acknowledged write is on the server's disk if fsync and synchronous_commit
// are on, as they are by default. docs/operations.md describes the other cases,
// and the settings for vacuum, PgBouncer and logs.
package postgres
