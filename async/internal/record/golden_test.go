package record

import (
	"encoding/hex"
	"testing"
)

// goldenScheduled is a time in nanoseconds, with a fraction of a millisecond.
const goldenScheduled = 1796022120668026402

// TestGoldenEntryIDs: the IDs of entries are in stores, and each attempt derives
// its entry's ID anew. Another derivation would leave waiting activities
// without their entries.
func TestGoldenEntryIDs(t *testing.T) {
	workflow := &Record{Namespace: "default", WorkflowId: "expense-7", RunId: "run-1", ActivityId: "5", Scheduled: goldenScheduled}
	standalone := &Record{Namespace: "default", ActivityId: "approve-7", ActivityRunId: "arun-1", Scheduled: goldenScheduled}
	keyed := &Record{Namespace: "default", WorkflowId: "expense-7", RunId: "run-1", ActivityId: "5", Scheduled: goldenScheduled, Key: "order-7"}
	for _, c := range []struct {
		name string
		got  string
		want string
	}{
		{name: "of a workflow", got: EntryID(workflow), want: "01K8LK5C6S-TUGNahDygBVINEh9wcCgw"},
		{name: "standalone", got: EntryID(standalone), want: "01K8LK5C6SEl4blrwKIKJFMpCKC6MHHQ"},
		{name: "with a business key", got: EntryID(keyed), want: "0ChgJOI8dqGk9NPtGwXGqA"},
		{name: "of a business key", got: KeyedEntryID("default", "order-7"), want: "0ChgJOI8dqGk9NPtGwXGqA"},
	} {
		if c.got != c.want {
			t.Errorf("%s: the entry's ID is %s, want %s: releases must derive the same ID", c.name, c.got, c.want)
		}
	}
}

// TestGoldenCallbackIDs: external systems hold callback IDs for months, and
// records keep the digests of the callback IDs of ended rounds.
func TestGoldenCallbackIDs(t *testing.T) {
	secret := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for _, c := range []struct {
		name   string
		entry  string
		whole  string
		digest string
	}{
		{
			name: "of a workflow", entry: "01K8LK5C6S-TUGNahDygBVINEh9wcCgw",
			whole: "01K8LK5C6S-TUGNahDygBVINEh9wcCgwAQIDBAUGBwgJCgsMDQ4PEA", digest: "f56bdd2d2a9bcec4a34bb7c63eefb73a",
		},
		{
			name: "with a business key", entry: "0ChgJOI8dqGk9NPtGwXGqA",
			whole: "0ChgJOI8dqGk9NPtGwXGqAAQIDBAUGBwgJCgsMDQ4PEA", digest: "a3fab17c7d6cc3c96a890c8c293e72c8",
		},
	} {
		id := NewCallbackID(c.entry, secret)
		if id.Reveal() != c.whole {
			t.Errorf("%s: the callback ID is %s, want %s", c.name, id.Reveal(), c.whole)
		}
		if got := hex.EncodeToString(id.Digest()); got != c.digest {
			t.Errorf("%s: the digest is %s, want %s", c.name, got, c.digest)
		}
		if read, ok := ParseCallbackID(c.whole); !ok || read != id {
			t.Errorf("%s: the callback ID can no longer be read", c.name)
		}
	}
}
