// Package bolt keeps entries in one file: the store for an application on one
// machine. It needs no server, loses nothing that was acknowledged, and pays a
// disk sync for that, which all writes share that wait at the same time.
//
//	s, err := bolt.Open(ctx, "/var/lib/app/latchkey.db", bolt.Options{})
//
// or, with this package imported for its side effect,
//
//	s, err := store.Open(ctx, "bolt:///var/lib/app/latchkey.db?lock_timeout=5s&mode=0640")
//
// A relative path is written bolt:latchkey.db, and taken from the working
// directory at the time of the call. In a path, % ? and # are written %25, %3F
// and %23. The parameters are those of [Options]: lock_timeout, a duration, and
// mode, the octal permissions of a new file. Any other is an error.
//
// The database is bbolt. Beside it this package has group commit without delay
// (bbolt's own Batch makes a lone writer wait), an index of due times, a
// checksum for every entry, and no panic for a damaged file.
//
// # Durability
//
// Put, Delete and Claim return nil when the write is on the disk, synced: it
// survives SIGKILL and, where the disk tells the truth about its cache, the
// loss of power. An unacknowledged write is either fully present or absent.
// After an error that isn't about the entry, such as a full disk, the
// write is not there, with one exception: when the last step of a commit, the
// sync of the page that makes it count, is what failed, nobody knows. The store
// works again as soon as there is room.
//
// # Damage
//
// A file that was cut short, isn't Latchkey's or has damage in its upper
// structure isn't opened. What else is damaged is found when it is read: such
// an entry is [store.ErrCorrupt], and the others go on. No damage panics or
// faults out of this package. Not seen until [Store.Check] is asked, because
// nothing reads it or there is nothing to compare it with:
//
//   - damage in entries that nobody reads;
//   - a changed key: the entry is not found under its ID, and is ErrCorrupt
//     only for List, which meets it;
//   - a lost or changed key in the index of due times: the entry isn't claimed;
//   - damage in the lower structure (the header of a page, a key that leads to
//     one): an entry is not found, or a write makes it worse.
//
// Not seen at all is damage to the newer of the two pages that say which state
// counts: it looks like a commit that a crash cut off, and the state before the
// last write counts again. Run Check now and then, as on each backup.
//
// # Caveats
//
//   - One process at a time. A second Open, also in the same process, gets
//     [ErrLocked] while the file is open. A file on a network file system is
//     locked and synced as well as that file system does it: avoid it.
//   - The file grows in steps of up to 16 MiB and never shrinks. Space that
//     deleted entries leave is used again. An entry of 400 bytes takes about
//     1.2 KiB of the file. See docs/operations.md for compaction.
//   - The list of free pages is written with every commit, 8 bytes for each:
//     after a million entries were deleted at once, commits are slow until the
//     space is used again or the file compacted.
//   - Don't copy the file while it is open: use [Store.Backup], or a snapshot of
//     the whole file system.
//   - An open file must not be cut short or written over by others. Reads are
//     from a mapping of it: what was cut off is ErrCorrupt, and where that
//     leaves bbolt's own locks taken, every later call is. Close then returns,
//     but the lock on the file may be held until the process ends.
//   - On 32-bit systems the file, being mapped, must fit the address space.
//   - It has to be on a file system with hard links, where it is made.
//   - Files are not portable between machines of different byte order.
package bolt
