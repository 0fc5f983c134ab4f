package storetest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Features are the abilities of a backend in addition to the basic contract.
// The zero value is right for a backend that keeps entries in the memory of one
// process.
type Features struct {
	// Durable means that an acknowledged write survives the process. It requires
	// Harness.Reopen.
	Durable bool

	// Shared means that handles in several processes see the same data. It
	// requires Harness.Peer.
	Shared bool

	// Ordered means that Claim returns the oldest entries of the whole store
	// first, and not only the oldest of a shard.
	Ordered bool

	// MaxBody is the maximum size of a Body, in bytes, that the store accepts
	// if it is a store.Limiter. MaxBody must be between 256 KiB and
	// store.MaxStored. Defaults to store.MaxStored.
	MaxBody int

	// Pager, Counter and Notifier mean that the store supports the optional
	// interface of that name in package store. If a store has the method of an
	// interface that it does not support, the method returns
	// errors.ErrUnsupported.
	Pager, Counter, Notifier bool
}

// Harness gives the suite access to a backend. The suite calls the functions of
// a Harness from one goroutine at a time, with the T of the subtest that needs
// the store. The functions of a Harness may use TempDir, Cleanup, Fatal and
// Skip, but not Parallel. Cleanup functions that they register run after the
// suite has closed its stores.
type Harness struct {
	// Features are the features that the backend declares. Defaults to none.
	Features Features

	// Open returns a new and empty store. The suite closes the store. Required.
	Open func(t *testing.T) store.Store

	// Reopen returns a store with the data of s. The suite has closed s, and
	// closes the store that Reopen returns. If the backend has a server,
	// restart the server as well. Otherwise data that the server keeps in
	// memory counts as durable. Required with Features.Durable.
	Reopen func(t *testing.T, s store.Store) store.Store

	// Peer returns a second handle to the data of s, as another process would
	// open it. The suite closes both handles. Required with Features.Shared.
	Peer func(t *testing.T, s store.Store) store.Store

	// Break cuts off s permanently: from now on, s cannot reach its data. Calls
	// may fail at once or when their context ends. Optional.
	Break func(t *testing.T, s store.Store)

	// Lose loses the reply to the next write through s. The write takes place,
	// and then the function meanwhile is called. After that, the caller of the
	// write gets an error, or the result of the backend's second try. A reply
	// to a read that comes before the write, such as the first half of a claim,
	// is not lost. The suite uses s again immediately afterwards. Any goroutine
	// may call meanwhile. It uses another handle. Lose is for backends with a
	// server. Optional; requires Features.Shared.
	Lose func(t *testing.T, s store.Store, meanwhile func())

	// Flap cuts the connections of s during its next call: after the request
	// was sent, and before the reply arrives. New connections succeed. Flap is
	// for backends with a server. Optional.
	Flap func(t *testing.T, s store.Store)

	// Corrupt damages the data of id in a way that the backend detects. Optional.
	Corrupt func(t *testing.T, s store.Store, id string)

	room int // bytes that sealing takes from the MaxBody of the backend
}

// SeedVariable is the environment variable with the seed of the random
// operations. Without the environment variable, each run has another seed.
const SeedVariable = "LATCHKEY_SEED"

// patience is how long a check may take before it fails.
const patience = 2 * time.Minute

// minMaxBody is the smallest Features.MaxBody, because the suite has bodies of
// 128 KiB.
const minMaxBody = 256 << 10

// Run runs every check on stores from h, each as a subtest of t. Run fails t at
// once if h lacks a function that its features require.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if err := h.validate(); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	seed, err := seedFrom(os.Getenv(SeedVariable))
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	var sum summary
	for _, k := range checks() {
		t.Run(k.name, func(t *testing.T) {
			if reason := k.missing(h); reason != "" {
				sum.skip(k, reason)
				t.Skip(reason)
			}
			c := newChecker(t, t.Context(), h.Features, h.bind(t))
			c.seed = seed
			c.run(k)
			if t.Skipped() {
				sum.skip(k, "the harness skipped it")
				return
			}
			sum.done(k, t.Failed())
		})
	}
	t.Log(sum.String())
}

func (h Harness) validate() error {
	maxBody := h.Features.MaxBody
	if maxBody != 0 {
		maxBody += h.room
	}
	switch {
	case h.Open == nil:
		return errors.New("Harness.Open is nil: it is required, and returns a new and empty store")
	case h.Features.Durable && h.Reopen == nil:
		return errors.New("Harness.Reopen is nil: it is required with Features.Durable, and returns the data of a store that was closed")
	case h.Features.Shared && h.Peer == nil:
		return errors.New("Harness.Peer is nil: it is required with Features.Shared, and returns a second handle to a store's data")
	case maxBody != 0 && (maxBody < minMaxBody || maxBody > store.MaxStored):
		return fmt.Errorf("Features.MaxBody must be between 256 KiB and store.MaxStored, got %d bytes", maxBody)
	case h.Lose != nil && !h.Features.Shared:
		return errors.New("Harness.Lose is there without Features.Shared: it is required, since the suite writes through a peer before the caller gets the reply")
	}
	return nil
}

// backend is a Harness bound to the test that uses it.
type backend struct {
	open   func() store.Store
	reopen func(s store.Store) store.Store
	peer   func(s store.Store) store.Store
	sever  func(s store.Store)
	lose   func(s store.Store, meanwhile func())
	flap   func(s store.Store)
	damage func(s store.Store, id string)
}

func (h Harness) bind(t *testing.T) backend {
	return backend{
		open:   func() store.Store { return h.Open(t) },
		reopen: func(s store.Store) store.Store { return h.Reopen(t, s) },
		peer:   func(s store.Store) store.Store { return h.Peer(t, s) },
		sever:  func(s store.Store) { h.Break(t, s) },
		lose:   func(s store.Store, meanwhile func()) { h.Lose(t, s, meanwhile) },
		flap:   func(s store.Store) { h.Flap(t, s) },
		damage: func(s store.Store, id string) { h.Corrupt(t, s, id) },
	}
}

// check is one check of the suite.
type check struct {
	name  string // subject/expectation; stable, because authors run checks by name
	says  string // the sentence of the contract
	needs need
	run   func(c *checker)
}

// need is the set of features and hooks that a check requires, as flags. Every
// store meets the zero need.
type need int

const (
	durable need = 1 << iota
	shared
	ordered
	breakable
	losing
	flapping
	corruptible
	paging
	counting
	notifying
)

// missing returns the reason why the check cannot run with h, or "".
func (k check) missing(h Harness) string {
	switch {
	case k.needs&durable != 0 && !h.Features.Durable:
		return "the harness doesn't declare Features.Durable"
	case k.needs&shared != 0 && !h.Features.Shared:
		return "the harness doesn't declare Features.Shared"
	case k.needs&ordered != 0 && !h.Features.Ordered:
		return "the harness doesn't declare Features.Ordered"
	case k.needs&paging != 0 && !h.Features.Pager:
		return "the harness doesn't declare Features.Pager"
	case k.needs&counting != 0 && !h.Features.Counter:
		return "the harness doesn't declare Features.Counter"
	case k.needs&notifying != 0 && !h.Features.Notifier:
		return "the harness doesn't declare Features.Notifier"
	case k.needs&breakable != 0 && h.Break == nil:
		return "the harness has no Break"
	case k.needs&losing != 0 && h.Lose == nil:
		return "the harness has no Lose"
	case k.needs&flapping != 0 && h.Flap == nil:
		return "the harness has no Flap"
	case k.needs&corruptible != 0 && h.Corrupt == nil:
		return "the harness has no Corrupt"
	}
	return ""
}

// checks returns the suite, in the order of the contract.
func checks() []check {
	return slices.Concat(
		putChecks(), deleteChecks(), versionChecks(), bodyChecks(), ownershipChecks(), idChecks(),
		dueChecks(), claimChecks(), drainChecks(), listChecks(), contextChecks(),
		concurrencyChecks(), errorChecks(), closeChecks(), breakChecks(), lostChecks(), flapChecks(), corruptChecks(),
		durableChecks(), sharedChecks(), modelChecks(), optionalChecks(), pageChecks(), countChecks(), notifyChecks(),
	)
}

// summary is the last line that Run logs.
type summary struct {
	subjects []string       // in order
	ran      map[string]int // by subject
	total    int
	failed   []string
	reasons  []string            // in order
	skipped  map[string][]string // by reason
}

func (s *summary) done(k check, failed bool) {
	subject, _, _ := strings.Cut(k.name, "/")
	if s.ran == nil {
		s.ran = make(map[string]int)
	}
	if s.ran[subject] == 0 {
		s.subjects = append(s.subjects, subject)
	}
	s.ran[subject]++
	s.total++
	if failed {
		s.failed = append(s.failed, k.name)
	}
}

func (s *summary) skip(k check, reason string) {
	if s.skipped == nil {
		s.skipped = make(map[string][]string)
	}
	if s.skipped[reason] == nil {
		s.reasons = append(s.reasons, reason)
	}
	s.skipped[reason] = append(s.skipped[reason], k.name)
}

func (s *summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "storetest: %d checks ran, %d failed", s.total, len(s.failed))
	for i, subject := range s.subjects {
		sep := ", "
		if i == 0 {
			sep = " ("
		}
		fmt.Fprintf(&b, "%s%s %d", sep, subject, s.ran[subject])
	}
	if len(s.subjects) > 0 {
		b.WriteString(")")
	}
	skipped := 0
	for _, names := range s.skipped {
		skipped += len(names)
	}
	fmt.Fprintf(&b, "; %d skipped", skipped)
	for i, reason := range s.reasons {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s (%s)", sep, reason, strings.Join(s.skipped[reason], ", "))
	}
	return b.String()
}
