// Package postgres keeps Latchkey's entries in PostgreSQL, where any number of
// processes share them. It is an example: a backend as a stranger to this
// project would write it, on github.com/jackc/pgx/v5 and package store alone.
// docs/backends.md goes through it step by step.
//
// Import it for [store.Open]:
//
//	postgres://user:password@localhost:5432/app
//	postgres://user:password@localhost/app?search_path=billing&pool_max_conns=20
//	postgres://user:password@/app?host=db1,db2&port=5432,5432
//
// The parameters are those of pgx and of its pool; what neither knows becomes a
// setting of each session, such as synchronous_commit=remote_apply. Of several
// hosts the one that takes writes is used.
//
// # What is kept
//
// One table, latchkey_entries, with two indexes: its primary key, the ID, and
// the due times. [Open] makes them in the first schema of the search path,
// where the path leads to none. Stores that share a database have a schema
// each. A role needs USAGE of the schema, and SELECT, INSERT, UPDATE and DELETE
// of the table; where there is no table yet, CREATE too. Claims lock rows, for
// which UPDATE is enough.
//
//	id       text COLLATE "C"   compared byte by byte, whatever the locale
//	version  bigint             62 random bits
//	due      bigint             Unix milliseconds; NULL is never
//	body     bytea
//	sum      integer            CRC-32 of ID and body
//
// Byte order is faster than a locale's, keeps neighbours in time neighbours in
// the index, and survives an upgrade of the C library. The index of due times
// is partial, since most entries of a large store may wait for nothing. What
// doesn't fit its sum is store.ErrCorrupt.
//
// Versions are random because a sequence, though never rolled back, goes back
// with a server that loses its last writes: in a fail-over to a standby that
// was behind, or in a crash with synchronous_commit off. It would give a
// version twice then.
//
// Get and Put take one round trip, and so does Claim, also where nothing is
// due: then it reads the head of an index, and writes nothing. Where all that
// is due is locked at that moment it waits for one who has a lock, and takes
// two more. Delete takes a second one where the entry is at another version or
// gone.
//
// # Durability
//
// A Put that returned nil is on the server's disk where fsync and
// synchronous_commit are on, which are the defaults. With synchronous_commit
// off, up to three times wal_writer_delay (0.6 s by default) of writes may go
// when the server dies. To survive the loss of the server's machine, name
// standbys in synchronous_standby_names: with synchronous_commit on, a Put then
// waits for their disks too.
//
// # Space
//
// Every Put and every Claim leaves a dead row behind. Where Due changes, which
// is with every Claim and with most Puts, it leaves dead places in both indexes
// too: PostgreSQL's HOT updates, which leave the indexes alone, are for those
// that change nothing that is indexed. Measured with 2,000 entries of 363
// bytes: of Puts that keep Due, 89% are HOT with the default fillfactor of 100
// and all of them with 80; of Puts that move it, and of claims, none with 100,
// 80 or 50, while the table is a quarter larger with 80, and twice as large
// with 50. So the fillfactor is left alone.
//
// What helps is an autovacuum that comes often. Its defaults wait for a fifth
// of the table to be dead, and pause:
//
//	ALTER TABLE latchkey_entries SET (
//	    autovacuum_vacuum_scale_factor = 0.02,
//	    autovacuum_vacuum_cost_delay   = 0
//	);
//
// A transaction that stays open for hours, anywhere in the same database, keeps
// vacuum from removing anything, and then every claim walks over what was due
// since it began. Set idle_in_transaction_session_timeout, and mind prepared
// transactions, replication slots that nobody reads, and hot_standby_feedback.
//
// Bodies over 2 KB are compressed and moved out of the row. A Claim doesn't
// touch them there. If they are encrypted, spare the attempt:
//
//	ALTER TABLE latchkey_entries ALTER body SET STORAGE EXTERNAL;
//
// # Caveats
//
// PgBouncer in transaction mode needs ignore_startup_parameters =
// default_transaction_isolation with the database set to read committed, which
// is PostgreSQL's default, and default_query_exec_mode=exec in the URL.
//
// A damaged page, as opposed to a damaged entry, makes every call fail that
// comes across it, claims too: with ErrCorrupt where PostgreSQL says so.
//
// pgx repeats nothing. After an error of the connection a Put may have been
// stored or not, and the caller tries again: then ErrExists or ErrConflict may
// be against its own first try.
//
// While Close waits for a call, later calls wait for Close.
package postgres
