package asynctest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// fakeTB is a testing.TB whose failures the test observes. Methods that fakeTB
// does not override call the real testing.TB.
type fakeTB struct {
	testing.TB
	fatal, errors []string
	cleanups      []func()
	helped        bool
}

func (f *fakeTB) Helper()          { f.helped = true }
func (f *fakeTB) Cleanup(g func()) { f.cleanups = append(f.cleanups, g) }

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.fatal = append(f.fatal, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

func (f *fakeTB) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

// watch runs test until it returns or stops, and then runs its cleanups. watch
// returns the failures of test.
func watch(t *testing.T, test func(t testing.TB)) *fakeTB {
	t.Helper()
	f := &fakeTB{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(f)
	}()
	<-done
	for _, c := range slices.Backward(f.cleanups) {
		c()
	}
	return f
}

// ended is a store whose calls always fail.
type ended struct {
	store.Store
	list, close error
}

func (e *ended) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	if e.list != nil {
		return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, e.list) }
	}
	return e.Store.List(ctx)
}

func (e *ended) Close() error {
	if e.close != nil {
		return e.close
	}
	return e.Store.Close()
}

// askFor runs an activity that waits, and returns its callback ID.
func askFor(t testing.TB, h *async.Hub, key string) string {
	t.Helper()
	id := ""
	ask := func(ctx context.Context) (Reply, error) {
		return async.Start(ctx, h, async.StartOptions{Key: key}, func(_ context.Context, p async.Pending[Reply]) error {
			id = p.ID()
			return nil
		})
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(ask)
	_, _ = env.ExecuteActivity(ask)
	if id == "" {
		t.Error("nobody was asked")
	}
	return id
}

func TestNewHub(t *testing.T) {
	var hub *async.Hub
	f := watch(t, func(tb testing.TB) {
		hub = asynctest.NewHub(tb, async.Options{})
		p, err := async.Open[Reply](t.Context(), hub, askFor(tb, hub, ""))
		wantIs(t, "Open", err, nil)
		wantIs(t, "Complete", p.Complete(t.Context(), Reply{"yes"}), nil)
		if c, err := hub.Open(t.Context(), p.ID()); err != nil || !c.Info().Delivered {
			t.Errorf("the answer: %+v, %v, want it delivered", c.Info(), err)
		}
		if _, err := hub.Work(t.Context()); err != nil {
			t.Errorf("Work: %v", err)
		}
	})
	if len(f.fatal)+len(f.errors) != 0 {
		t.Errorf("a good test failed: %q, %q", f.fatal, f.errors)
	}
	if _, err := hub.Work(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after the test, Work: %v, want that the store is closed", err)
	}
}

func TestNewHubTakesWhatItIsGiven(t *testing.T) {
	s, c := &ended{Store: store.NewMemory(), close: errors.New("closed twice")}, new(asynctest.Completer)
	var hub *async.Hub
	id := ""
	f := watch(t, func(tb testing.TB) {
		hub = asynctest.NewHub(tb, async.Options{Store: s, Completer: c})
		id = askFor(tb, hub, "")
	})
	if len(f.fatal)+len(f.errors)+len(f.cleanups) != 0 {
		t.Errorf("a good test failed, or its store was closed: %q, %q, %d cleanups", f.fatal, f.errors, len(f.cleanups))
	}
	p, err := async.Open[Reply](t.Context(), hub, id)
	wantIs(t, "Open, after the test", err, nil)
	wantIs(t, "Complete", p.Complete(t.Context(), Reply{"yes"}), nil)
	if len(c.Completed()) != 1 {
		t.Errorf("the completer took %d outcomes, want 1", len(c.Completed()))
	}
}

func TestNewHubWrongOption(t *testing.T) {
	for want, o := range map[string]async.Options{
		"Options.ClaimTime must be at least 2s, got 1s":    {ClaimTime: time.Second},
		"Options.Store is required":                        {Store: (*ended)(nil)},
		"Options.Completer is a nil pointer: leave it out": {Completer: (*asynctest.Completer)(nil)},
	} {
		reached := false
		f := watch(t, func(tb testing.TB) {
			asynctest.NewHub(tb, o)
			reached = true
		})
		if len(f.fatal) != 1 || !strings.HasPrefix(f.fatal[0], "asynctest.NewHub: async: ") || !strings.Contains(f.fatal[0], want) {
			t.Errorf("the test ended with %q, want one message with %q", f.fatal, want)
		}
		if reached || !f.helped || len(f.errors) != 0 {
			t.Errorf("went on: %v, names the caller's line: %v, errors: %q", reached, f.helped, f.errors)
		}
	}
}

func TestPending(t *testing.T) {
	hub := asynctest.NewHub(t, async.Options{})
	if waiting := asynctest.Pending(t, hub); len(waiting) != 0 {
		t.Errorf("%d wait in a new hub", len(waiting))
	}
	var ids []string
	for i := range 20 { // with a business key, the ID does not reveal when the activity was scheduled
		ids = append(ids, askFor(t, hub, fmt.Sprintf("order-%d", i)))
	}
	waiting := asynctest.Pending(t, hub)
	if got := idsOf(waiting); !slices.Equal(got, ids) {
		t.Fatalf("%d wait, want the %d, oldest first", len(got), len(ids))
	}
	wantIs(t, "Reject", waiting[7].Reject(t.Context(), errors.New("no")), nil)
	if got := idsOf(asynctest.Pending(t, hub)); !slices.Equal(got, slices.Delete(ids, 7, 8)) {
		t.Errorf("after an answer %d wait, want all others", len(got))
	}
}

// TestPendingSettled: a callback that is answered but not yet delivered is not
// pending.
func TestPendingSettled(t *testing.T) {
	away := errors.New("Temporal is away")
	hub := asynctest.NewHub(t, async.Options{Completer: &asynctest.Completer{
		CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error { return away },
	}})
	askFor(t, hub, "")
	wantIs(t, "Fail", asynctest.Pending(t, hub)[0].Fail(t.Context(), errors.New("no")), nil)
	if waiting := asynctest.Pending(t, hub); len(waiting) != 0 {
		t.Errorf("%d wait, want none", len(waiting))
	}
}

// TestPendingOfOneInstant: each call of Pending returns the same order, even if
// all callbacks were created at one instant.
func TestPendingOfOneInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := asynctest.NewHub(t, async.Options{})
		ask := func(ctx context.Context) (Reply, error) {
			return async.Start(ctx, hub, async.StartOptions{}, func(context.Context, async.Pending[Reply]) error { return nil })
		}
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(slog.New(slog.DiscardHandler))
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(ask)
		for range 20 {
			_, _ = env.ExecuteActivity(ask)
		}
		first := asynctest.Pending(t, hub)
		if len(first) != 20 || !first[0].Info().Created.Equal(first[19].Info().Created) {
			t.Fatalf("%d wait, from %v to %v, want 20 of one instant", len(first), first[0].Info().Created, first[19].Info().Created)
		}
		for range 5 {
			if !slices.Equal(idsOf(asynctest.Pending(t, hub)), idsOf(first)) {
				t.Fatal("in another order now")
			}
		}
	})
}

func idsOf(cs []async.Callback) (ids []string) {
	for _, c := range cs {
		ids = append(ids, c.ID())
	}
	return ids
}

func TestPendingListError(t *testing.T) {
	hub := asynctest.NewHub(t, async.Options{Store: &ended{list: errors.New("the disk is gone")}})
	reached := false
	f := watch(t, func(tb testing.TB) {
		asynctest.Pending(tb, hub)
		reached = true
	})
	if len(f.fatal) != 1 || !strings.HasPrefix(f.fatal[0], "asynctest.Pending: ") || !strings.Contains(f.fatal[0], "the disk is gone") {
		t.Errorf("the test ended with %q, want one message of Pending that names the disk", f.fatal)
	}
	if reached || !f.helped {
		t.Errorf("went on: %v, names the caller's line: %v", reached, f.helped)
	}
}

// failing is the environment variable that makes TestFailing fail in one of
// several ways. TestWhatIsPrinted sets it for a process of its own.
const failing = "LATCHKEY_ASYNCTEST_FAILING"

// TestFailing is not a test of its own: TestWhatIsPrinted runs it.
func TestFailing(t *testing.T) {
	switch os.Getenv(failing) {
	case "option":
		asynctest.NewHub(t, async.Options{ClaimTime: time.Second}) // line: option
	case "list":
		hub := asynctest.NewHub(t, async.Options{Store: &ended{list: errors.New("the disk is gone")}})
		asynctest.Pending(t, hub) // line: list
	case "call":
		reporter := new(asynctest.Completer)
		hub := asynctest.NewHub(t, async.Options{Completer: reporter})
		p, err := async.Open[Reply](t.Context(), hub, askFor(t, hub, ""))
		wantIs(t, "Open", err, nil)
		wantIs(t, "Complete", p.Complete(t.Context(), Reply{"a secret answer"}), nil)
		t.Errorf("%v %+v %#v", reporter.Completed(), reporter.Completed()[0], reporter.Completed()[0]) // line: call
		t.Errorf("%v %#v", asynctest.Pending(t, hub), p)
	default:
		t.Skip("run by TestWhatIsPrinted")
	}
}

// TestWhatIsPrinted runs tests that fail, and checks their output: it contains
// the line of the test and the reason, and no secret.
func TestWhatIsPrinted(t *testing.T) {
	source, err := os.ReadFile("hub_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{
		"option": "asynctest.NewHub: async: Options.ClaimTime must be at least 2s, got 1s",
		"list":   "asynctest.Pending: could not list the entries: async: list: the disk is gone",
		"call":   `activity "0" of workflow "default-test-workflow-id", by token`,
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			before, _, _ := strings.Cut(string(source), "// line: "+how+"\n")
			line := strings.Count(before, "\n") + 1
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFailing$")
			cmd.Env = append(os.Environ(), failing+"="+how)
			out, err := cmd.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Fatalf("the test that fails ended with %v:\n%s", err, out)
			}
			if at := fmt.Sprintf("hub_test.go:%d: ", line); !strings.Contains(string(out), at) || !strings.Contains(string(out), want) {
				t.Errorf("it printed\n%s\nwant %q and %q", out, at, want)
			}
			for _, secret := range []string{"default-test-run-id#", "secret answer"} {
				if strings.Contains(string(out), secret) {
					t.Errorf("it printed %q:\n%s", secret, out)
				}
			}
			if id := regexp.MustCompile(`[0-9a-v]{10}[A-Za-z0-9_-]{44}`).Find(out); id != nil {
				t.Errorf("it printed a callback ID:\n%s", out)
			}
		})
	}
}

// TestNewHubWaitsForASlowDelivery gives an answer while Temporal takes half a
// minute for each call.
func TestNewHubWaitsForASlowDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := &asynctest.Completer{CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error {
			time.Sleep(30 * time.Second)
			return nil
		}}
		hub := asynctest.NewHub(t, async.Options{Completer: temporal, ClaimTime: time.Minute})
		p, err := async.Open[Reply](t.Context(), hub, askFor(t, hub, ""))
		wantIs(t, "Open", err, nil)
		wantIs(t, "Complete", p.Complete(t.Context(), Reply{"yes"}), nil)
		if n := len(temporal.Completed()); n != 1 {
			t.Errorf("when Complete returned, Temporal had %d answers, want 1", n)
		}
	})
}
