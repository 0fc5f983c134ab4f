package jetstream

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/latchkey-go/latchkey/store"
)

const (
	dueHeader = "Latchkey-Due" // Unix milliseconds; 0 for never
	sumHeader = "Latchkey-Sum" // CRC-32C of ID, due time and body

	// headerRoom is how many bytes of a message are reserved for its headers.
	headerRoom = 1 << 10
)

// subject returns the subject of an entry. A dot separates the tokens of a
// subject, and no ID contains "=".
func (s *Store) subject(id string) string { return s.prefix + strings.ReplaceAll(id, ".", "=") }

func encode(prefix string, e store.Entry) *nats.Msg {
	m := nats.NewMsg(prefix + strings.ReplaceAll(e.ID, ".", "="))
	m.Data = e.Body
	m.Header.Set(dueHeader, strconv.FormatInt(milliseconds(e.Due), 10))
	m.Header.Set(sumHeader, sum(e.ID, milliseconds(e.Due), e.Body))
	return m
}

// decode returns the entry of a message. For a damaged message it returns
// ErrCorrupt, with the ID and the due time if they can be read.
func decode(prefix string, m *jetstream.RawStreamMsg) (store.Entry, error) {
	e := store.Entry{ID: strings.ReplaceAll(strings.TrimPrefix(m.Subject, prefix), "=", "."), Version: m.Sequence, Body: m.Data}
	due, err := strconv.ParseInt(m.Header.Get(dueHeader), 10, 64)
	if err == nil && due != 0 {
		e.Due = time.UnixMilli(due).UTC()
	}
	if err != nil || sum(e.ID, due, m.Data) != m.Header.Get(sumHeader) {
		e.Body = nil
		return e, fmt.Errorf("%w: the sum of entry %s does not fit", store.ErrCorrupt, store.ShortID(e.ID))
	}
	return e, nil
}

func sum(id string, due int64, body []byte) string {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(fmt.Appendf(nil, "%s %d ", id, due), table), table, body)
	return strconv.FormatUint(uint64(sum), 16)
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
