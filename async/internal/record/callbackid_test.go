package record

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestParseCallbackID(t *testing.T) {
	secret := bytes.Repeat([]byte{0xa7}, SecretBytes)
	for _, entry := range []string{EntryID(&Record{Namespace: "n", WorkflowId: "w", Scheduled: 1e18}), KeyedEntryID("n", "order-7")} {
		made := NewCallbackID(entry, secret)
		c, ok := ParseCallbackID(made.Reveal())
		if !ok || c != made || c.EntryID() != entry || !bytes.Equal(c.Secret(), secret) {
			t.Errorf("%q is read as entry %q, %v", made.Reveal(), c.EntryID(), ok)
		}
		id := made.Reveal()
		for name, wrong := range map[string]string{
			"empty":               "",
			"cut":                 id[1:],
			"longer":              id + "A",
			"the entry's ID":      entry,
			"the secret":          id[len(entry):],
			"not of the alphabet": id[:3] + "." + id[4:],
			"in UTF-8":            id[:len(id)-2] + "é",
			"another spelling":    id[:len(id)-1] + string(id[len(id)-1]+1), // spells the same secret differently: the last character has two unused bits
		} {
			if c, ok := ParseCallbackID(wrong); ok || c != (CallbackID{}) {
				t.Errorf("%s: %q is taken as a callback ID", name, wrong)
			}
		}
	}
}

// Only Reveal shows a callback ID. A struct that holds a callback ID by a
// pointer does not print it either.
func TestCallbackIDIsNotPrinted(t *testing.T) {
	c := NewCallbackID(KeyedEntryID("n", "order-7"), []byte("0123456789abcdef"))
	holder := struct{ id *CallbackID }{&c}
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %v %+v %#v", c, c, c, &c, holder, holder)} {
		for _, secret := range []string{c.Reveal(), "0123456789abcdef", base64.RawURLEncoding.EncodeToString(c.Secret()), "48 49 50", "0x30, 0x31"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%q shows the callback ID", shown)
			}
		}
	}
}

func TestRoundOf(t *testing.T) {
	const entry = "entry"
	now, before := NewCallbackID(entry, bytes.Repeat([]byte{1}, SecretBytes)), NewCallbackID(entry, bytes.Repeat([]byte{2}, SecretBytes))
	r := &Record{Secret: now.Secret(), Rounds: []*Round{{CallbackDigest: []byte("another")}, {CallbackDigest: before.Digest()}}}
	if current, over := now.RoundOf(r); !current || over != nil {
		t.Errorf("the current round: %v, %v", current, over)
	}
	if current, over := before.RoundOf(r); current || over != r.Rounds[1] {
		t.Errorf("an earlier round: %v, %v", current, over)
	}
	other := NewCallbackID("other", before.Secret()) // the digest covers the whole ID
	if current, over := other.RoundOf(r); current || over != nil {
		t.Errorf("a foreign callback ID: %v, %v", current, over)
	}
}

func FuzzCallbackID(f *testing.F) {
	f.Add(NewCallbackID(KeyedEntryID("n", "k"), make([]byte, SecretBytes)).Reveal())
	f.Add(NewCallbackID(EntryID(&Record{}), make([]byte, SecretBytes)).Reveal())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := ParseCallbackID(s)
		if ok && NewCallbackID(c.EntryID(), c.Secret()) != c {
			t.Errorf("%q is read as another callback ID", s)
		}
	})
}
