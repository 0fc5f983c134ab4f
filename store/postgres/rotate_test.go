package postgres_test

import (
	"bytes"
	"testing"

	"github.com/latchkey-go/latchkey/internal/rotation"
	"github.com/latchkey-go/latchkey/store"
)

const newKey = "2026"

// sealWith returns options with a key for each name.
func sealWith(active string, names ...string) store.SealOptions {
	o := store.SealOptions{IDKey: bytes.Repeat([]byte{1}, 32), Keys: make(map[string][]byte), Active: active}
	for _, name := range names {
		o.Keys[name] = bytes.Repeat([]byte(name), 8)
	}
	return o
}

// TestRotationDuringKills changes the key of a store while one process writes
// and another reseals. Both are killed at random.
func TestRotationDuringKills(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	rotation.Test{
		URL:   p.with("&application_name=" + p.schema),
		Quiet: func(t *testing.T) { waitForNobody(t, p) },
	}.Run(t)
}
