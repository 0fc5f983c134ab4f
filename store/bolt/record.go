package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// The layout of the file, in bbolt's buckets. Numbers are big-endian.
//
//	latchkey  "format" → the format's number, in decimal
//	entries   ID → checksum (4) | version (8) | due (8) | body
//	due       due (8) | ID → empty; entries that are never due are not in it
//
// Due is in Unix milliseconds, 0 for never. The checksum is CRC-32C over ID,
// body, version and due, in this order: the first two are known before the
// write has its turn. Versions are the sequence of the bucket entries. The
// sequence remains when entries are deleted.
var (
	metaBucket  = []byte("latchkey")
	formatKey   = []byte("format")
	entryBucket = []byte("entries")
	dueBucket   = []byte("due")
)

const (
	format     = 1
	headerSize = 4 + 8 + 8
	never      = 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is an entry as a transaction reads it.
type record struct {
	found   bool
	version uint64
	due     int64
	body    []byte // bytes of the file, valid only in the transaction
	sum     uint32 // over ID and body
}

func (r record) entry(id string) store.Entry {
	e := store.Entry{ID: id, Version: r.version, Body: r.body}
	if r.due != never {
		e.Due = time.UnixMilli(r.due).UTC()
	}
	return e
}

// value is the stored value of an entry without its header.
type value struct {
	bytes []byte
	sum   uint32 // over ID and body
}

func newValue(id string, body []byte) value {
	b := make([]byte, headerSize+len(body))
	copy(b[headerSize:], body)
	return value{bytes: b, sum: sum(id, body)}
}

// seal sets the header. seal may be called again.
func (v value) seal(version uint64, due int64) {
	binary.BigEndian.PutUint64(v.bytes[4:], version)
	binary.BigEndian.PutUint64(v.bytes[12:], uint64(due))
	binary.BigEndian.PutUint32(v.bytes, crc32.Update(v.sum, castagnoli, v.bytes[4:headerSize]))
}

func sum(id string, body []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(id), castagnoli), castagnoli, body)
}

func dueKey(due int64, id string) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(id)), uint64(due)), id...)
}

// splitDueKey returns the arguments of dueKey. A key of another form is never
// due.
func splitDueKey(key []byte) (due int64, id string) {
	if len(key) < 8 {
		return never, ""
	}
	return int64(binary.BigEndian.Uint64(key)), string(key[8:])
}

// txn is a transaction.
type txn struct {
	path    string
	entries *bbolt.Bucket
	due     *bbolt.Bucket
	writes  int // the number of written entries
}

func newTxn(path string, tx *bbolt.Tx) (*txn, error) {
	t := &txn{path: path, entries: tx.Bucket(entryBucket), due: tx.Bucket(dueBucket)}
	if t.entries == nil || t.due == nil {
		return nil, corrupt(path, "a bucket is missing")
	}
	return t, nil
}

// get returns the record, with found unset if there is none. get returns
// ErrCorrupt for a record that does not fit its checksum.
func (t *txn) get(id string) (record, error) {
	v := t.entries.Get([]byte(id))
	if v == nil {
		return record{}, nil
	}
	return parse(t.path, id, v)
}

func parse(path, id string, v []byte) (record, error) {
	if len(v) < headerSize {
		return record{}, corrupt(path, "entry %s is cut short", store.ShortID(id))
	}
	r := record{
		found:   true,
		version: binary.BigEndian.Uint64(v[4:]),
		due:     int64(binary.BigEndian.Uint64(v[12:])),
		body:    v[headerSize:],
	}
	r.sum = sum(id, r.body)
	if crc32.Update(r.sum, castagnoli, v[4:headerSize]) != binary.BigEndian.Uint32(v) {
		return record{}, corrupt(path, "entry %s does not fit its checksum", store.ShortID(id))
	}
	return r, nil
}

// put writes an entry whose index key was at oldDue.
func (t *txn) put(id string, oldDue, due int64, v value) (version uint64, err error) {
	t.writes++
	if version, err = t.entries.NextSequence(); err != nil {
		return 0, t.unwritable(err)
	}
	v.seal(version, due)
	if err := t.entries.Put([]byte(id), v.bytes); err != nil {
		return 0, t.unwritable(err)
	}
	return version, t.reindex(id, oldDue, due)
}

func (t *txn) delete(id string, oldDue int64) error {
	t.writes++
	if err := t.entries.Delete([]byte(id)); err != nil {
		return t.unwritable(err)
	}
	return t.reindex(id, oldDue, never)
}

func (t *txn) reindex(id string, old, due int64) error {
	if old == due {
		return nil
	}
	if old != never {
		if err := t.due.Delete(dueKey(old, id)); err != nil {
			return t.unwritable(err)
		}
	}
	if due == never {
		return nil
	}
	if err := t.due.Put(dueKey(due, id), nil); err != nil {
		return t.unwritable(err)
	}
	return nil
}

// unwritable returns the error for a write that bbolt refuses. bbolt refuses a
// write only if it finds a bucket in place of a key.
func (t *txn) unwritable(err error) error { return corrupt(t.path, "%v", err) }

func corrupt(path, reason string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", store.ErrCorrupt, path, fmt.Sprintf(reason, args...))
}
