// Package planted stores secrets through a hub, and searches a dump of the store
// for them.
package planted

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/store"
)

// Secrets contains, by name, the data with which an attacker could answer an
// activity, and an accepted answer.
type Secrets map[string][]byte

// answer is the result type. Its text is the planted answer.
type answer struct{ Text string }

// ResultType returns a permanent name for the type.
func (answer) ResultType() string { return "planted.answer" }

const secretLen = 22 // characters at the end of a callback ID

// In starts two activities on a store through a hub, and answers one of them.
// The answer stays in the store, because no hub delivers it. In returns the
// secrets in the store.
func In(t *testing.T, s store.Store) Secrets {
	t.Helper()
	hub, err := async.New(async.Options{Store: s, Completer: new(asynctest.Completer)})
	if err != nil {
		t.Fatal(err)
	}
	settles, err := async.New(async.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	secrets := make(Secrets)
	for _, name := range []string{"waiting", "answered"} {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		id := ""
		start := func(ctx context.Context) (answer, error) {
			secrets["task token, "+name] = slices.Clone(activity.GetInfo(ctx).TaskToken)
			return async.Start(ctx, hub, async.StartOptions{Key: "planted-" + name}, func(_ context.Context, p async.Pending[answer]) error {
				id = p.ID()
				return nil
			})
		}
		env.RegisterActivityWithOptions(start, activity.RegisterOptions{Name: name})
		if _, err := env.ExecuteActivity(name); err != activity.ErrResultPending {
			t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
		}
		secrets["entry ID, "+name] = []byte(id[:len(id)-secretLen])
		secret, err := base64.RawURLEncoding.DecodeString(id[len(id)-secretLen:])
		if err != nil {
			t.Fatal(err)
		}
		secrets["secret of the callback ID, "+name] = secret
		if name == "waiting" {
			continue
		}
		text := fmt.Sprintf("PLANTED-ANSWER-%x", secret[:4])
		p, err := async.Open[answer](t.Context(), settles, id)
		if err == nil {
			err = p.Complete(t.Context(), answer{text})
		}
		if err != nil {
			t.Fatal(err)
		}
		secrets["answer"] = []byte(text)
	}
	return secrets
}

// Check searches a dump for the secrets: as they are, in hexadecimal, and in
// base64. Check fails the test if the dump of a sealed store has one of them.
// Check also fails the test if the dump of an unsealed store lacks one, because
// the search is then not able to find secrets.
func (s Secrets) Check(t *testing.T, dump []byte, sealed bool) {
	t.Helper()
	lower := bytes.ToLower(dump)
	for name, secret := range s {
		if len(secret) < 8 {
			t.Errorf("%s has %d bytes, want at least 8", name, len(secret))
		}
		found := bytes.Contains(dump, secret) || bytes.Contains(lower, []byte(hex.EncodeToString(secret)))
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			found = found || bytes.Contains(dump, []byte(encoding.EncodeToString(secret)))
		}
		if found == sealed {
			t.Errorf("a dump of %d bytes, of a sealed store: %t: has the %s: %t, want %t", len(dump), sealed, name, found, !sealed)
		}
	}
}
