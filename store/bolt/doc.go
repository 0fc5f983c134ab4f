// Package bolt stores Latchkey's entries in one file, for an application of one
// process. The package needs no server and loses no acknowledged write. Each
// write waits for a disk sync; concurrent writes share one sync.
//
//	s, err := bolt.Open(ctx, "/var/lib/app/latchkey.db", bolt.Options{})
//
// To open the store by URL, import this package for its side effect:
//
//	s, err := store.Open(ctx, "bolt:///var/lib/app/latchkey.db?lock_timeout=5s&mode=0640")
//
// A relative path has a URL such as bolt:latchkey.db. Open resolves the path
// against the current working directory. In a path, escape % ? and # as
// %25, %3F and %23. The parameters are those of [Options]: lock_timeout, a
// duration, and mode, the octal permissions of a new file. Open returns an
// error for other parameters.
//
// The database is bbolt. This package adds group commit without a delay (bbolt's
// Batch makes a single writer wait), an index of due times, a checksum for each
// entry, and errors instead of panics for damaged files.
//
// # Durability
//
// Put, Delete and Claim return nil after the write was synced to the disk. The
// write survives SIGKILL. The write survives a loss of power if the disk does not
// lose its cache. An unacknowledged write is either fully present or absent.
// After an error of the disk, such as a full disk, the write is absent, with
// one exception. If the sync of the page that makes a commit valid fails, the
// outcome is unknown. The store works again as soon as the disk does.
//
// # Damage
//
// Open refuses a file that is truncated, is not Latchkey's, or has damage in its
// upper structure. Other damage is found when a call reads it: the damaged entry is
// [store.ErrCorrupt], and the other entries remain usable. A damaged entry can
// neither be replaced nor deleted, because its version is not known; restore a
// backup. No damage causes a panic or a fault outside of this package. Only
// [Store.Check] finds the following damage:
//
//   - damage in entries that no call reads;
//   - a changed key: the entry is not found under its ID, and only List returns
//     ErrCorrupt for it;
//   - a lost or changed key in the index of due times: the entry is not claimed;
//   - damage in the lower structure (the header of a page, a key that leads to
//     one): an entry is not found, or a write makes the damage worse.
//
// No call finds damage to the newer of the two meta pages. Such damage looks
// like a commit that a crash interrupted, and the state before the last write
// is valid again. Run Check regularly, for example on each backup.
//
// # Caveats
//
//   - Only one process can open the file. A second Open, also in the same process,
//     returns [ErrLocked]. Do not use a network file system: it may not lock and
//     sync as a local one does.
//   - The file grows in steps of up to 16 MiB and never shrinks. New entries use
//     the space of deleted ones. An entry of 400 bytes takes about 1.2 KiB of the
//     file. See docs/operations.md for compaction.
//   - Each commit writes the list of free pages, 8 bytes for each page. After a
//     million entries were deleted at once, commits are slow until the space is
//     used again or the file is compacted.
//   - Do not copy the file while it is open. Use [Store.Backup], or a snapshot of
//     the whole file system.
//   - No other program may truncate or overwrite an open file. Calls read a memory
//     map of it: a part that is gone is ErrCorrupt, and if bbolt's own locks remain
//     held, every later call returns ErrCorrupt. Close then returns, but the lock
//     on the file may remain until the process ends.
//   - On 32-bit systems the file must fit into the address space.
//   - The file system must support hard links when the file is created.
//   - Files are not portable between machines of different byte order.
package bolt
