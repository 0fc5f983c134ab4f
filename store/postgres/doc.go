// Package postgres stores Latchkey's entries in PostgreSQL 13 or newer, where
// any number of processes share them, and where an application can write an
// answer in the same transaction as its own rows. It is a module of its own, on
// github.com/jackc/pgx/v5.
//
//	if err := postgres.Migrate(ctx, postgres.Options{Pool: pool}); err != nil { … }
//	s, err := postgres.Open(ctx, postgres.Options{Pool: pool})
//
// Import it for [store.Open] too:
//
//	postgres://user:password@localhost:5432/app?migrate=true
//	postgres://user:password@localhost/app?schema=billing&table_prefix=answers_
//	postgres://user:password@/app?host=db1,db2&port=5432,5432&pool_max_conns=20
//
// The parameters schema, table_prefix and migrate are those of
// [Options], and whether to call [Migrate]. The others are those of pgx and of
// its pool. Of several hosts, the one that takes writes is used.
//
// # Tables
//
// [Migrate] makes the tables, or a migration tool does, with the SQL of
// [Migrations]. [Open] never makes or changes a table: it returns [ErrSchema]
// where they are missing or of another release.
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
// Versions are random because a sequence goes back when a server loses its last
// writes, in a failover to a standby that was behind or in a crash with
// synchronous_commit off. It would then give a version twice. An entry that
// doesn't fit its sum is store.ErrCorrupt.
//
// # Cost
//
// Get and Put take one round trip. So does Claim, which reads the head of an
// index and writes nothing where nothing is due. Where other transactions have
// locked all that is due, Claim waits for one of them, and looks again every
// half second. Delete takes a second round trip where the entry has another
// version or is gone.
//
// # Wake-ups, pages and counts
//
// A write that makes an entry due within [store.WatchAhead] is followed by a
// NOTIFY, which [Store.Watch] passes on. Page and Count are those of
// [store.Pager] and [store.Counter]; Count is an estimate beyond 10,000 entries.
//
// # Durability
//
// A Put that returned nil is on the server's disk where fsync and
// synchronous_commit are on, which are the defaults. docs/operations.md says
// what survives what, and how to set up vacuum, PgBouncer and logs.
package postgres
