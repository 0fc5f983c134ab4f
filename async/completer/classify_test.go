package completer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// classes are the classes of a completer's errors. An error of no class means
// "try again".
var classes = []error{ErrOver, ErrNotStarted, ErrCancelNotRequested, ErrRefused}

// TestClassify: each error of the server has exactly one class.
func TestClassify(t *testing.T) {
	exhausted := serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "slowly")
	for name, c := range map[string]struct {
		err   error
		class error            // nil: try again
		as    func(error) bool // finds the cause
	}{
		// A NamespaceNotFound error has the gRPC code NotFound.
		"namespace not found":  {err: serviceerror.NewNamespaceNotFound("default"), class: ErrRefused, as: is[*serviceerror.NamespaceNotFound]},
		"not found":            {err: serviceerror.NewNotFound("activity"), class: ErrOver, as: is[*serviceerror.NotFound]},
		"not found, wrapped":   {err: fmt.Errorf("client: %w", serviceerror.NewNotFound("activity")), class: ErrOver, as: is[*serviceerror.NotFound]},
		"failed precondition":  {err: serviceerror.NewFailedPrecondition("over"), class: ErrOver, as: is[*serviceerror.FailedPrecondition]},
		"namespace not active": {err: serviceerror.NewNamespaceNotActive("default", "a", "b"), class: nil, as: is[*serviceerror.NamespaceNotActive]}, // shares the gRPC code of other errors
		"invalid argument":     {err: serviceerror.NewInvalidArgument("what"), class: ErrRefused, as: is[*serviceerror.InvalidArgument]},
		"permission denied":    {err: serviceerror.NewPermissionDenied("no", "role"), class: ErrRefused, as: is[*serviceerror.PermissionDenied]},
		"unimplemented":        {err: serviceerror.NewUnimplemented("what"), class: ErrRefused, as: is[*serviceerror.Unimplemented]},
		"unavailable":          {err: serviceerror.NewUnavailable("away"), class: nil, as: is[*serviceerror.Unavailable]},
		"resource exhausted":   {err: exhausted, class: nil, as: is[*serviceerror.ResourceExhausted]},
		"deadline exceeded":    {err: serviceerror.NewDeadlineExceeded("late"), class: nil, as: is[*serviceerror.DeadlineExceeded]},
		"canceled":             {err: serviceerror.NewCanceled("gone"), class: nil, as: is[*serviceerror.Canceled]},
		"internal":             {err: serviceerror.NewInternal("oops"), class: nil, as: is[*serviceerror.Internal]},
		"context's deadline":   {err: context.DeadlineExceeded, class: nil, as: nil},
		"context's end":        {err: fmt.Errorf("dial: %w", context.Canceled), class: nil, as: nil},
		"unknown":              {err: errors.New("what"), class: nil, as: nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := classify(c.err)
			wantClass(t, got, c.class)
			if !errors.Is(got, c.err) || c.as != nil && !c.as(got) {
				t.Errorf("%v has lost its cause", got)
			}
		})
	}
	if err := classify(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

// wantClass checks that an error has only this class; nil is "try again".
func wantClass(t *testing.T, err, want error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, class := range classes {
		if errors.Is(err, class) != (class == want) {
			t.Errorf("%v: is %v: %v, want the class %v", err, class, errors.Is(err, class), want)
		}
	}
}

// The SDK has no type for Unauthenticated. A test over the wire checks what the
// SDK returns for it.
func TestUnauthenticatedIsRefused(t *testing.T) {
	for name, known := range map[string]bool{
		"the first call": false, // the SDK asks for the server's capabilities
		"a later one":    true,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/grpc")
				if known && strings.HasSuffix(r.URL.Path, "/GetSystemInfo") {
					_, _ = w.Write(make([]byte, 5)) // an empty message
					w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
					return
				}
				w.Header().Set("Grpc-Status", "16")
				w.Header().Set("Grpc-Message", "who are you?")
			}))
			server.Config.Protocols = new(http.Protocols)
			server.Config.Protocols.SetUnencryptedHTTP2(true)
			server.Start()
			t.Cleanup(server.Close)
			c, err := client.NewLazyClient(client.Options{HostPort: server.Listener.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			reporter, err := New(Client{Client: c})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = reporter.Complete(ctx, saidTarget, Outcome{Result: new(commonpb.Payloads), Mark: "r1"})
			wantClass(t, err, ErrRefused)
			if err != nil && !strings.Contains(err.Error(), "who are you?") {
				t.Errorf("%v has lost its cause", err)
			}
		})
	}
}

// The server has no code for a cancellation without a request.
func TestCancellationNobodyRequested(t *testing.T) {
	unrequested := serviceerror.NewInvalidArgument("unable to mark activity as canceled without activity being request canceled first")
	activity := saidTarget
	activity.WorkflowID, activity.RunID, activity.ActivityRunID = "", "", "activity-run-1"
	canceled := Outcome{Canceled: new(commonpb.Payloads), Mark: "c1"}
	for name, c := range map[string]struct {
		target  Target
		outcome Outcome
		err     error
		want    bool
	}{
		"by token":           {target: saidTarget, outcome: canceled, err: unrequested, want: true},
		"by ID":              {target: saidTarget.ByID(), outcome: canceled, err: unrequested, want: true},
		"standalone":         {target: activity.ByID(), outcome: canceled, err: unrequested, want: true},
		"a result":           {target: saidTarget, outcome: Outcome{Result: new(commonpb.Payloads), Mark: "r1"}, err: unrequested, want: false},
		"a failure":          {target: saidTarget, outcome: Outcome{Failure: new(failurepb.Failure), Mark: "f1"}, err: unrequested, want: false},
		"for another reason": {target: saidTarget, outcome: canceled, err: serviceerror.NewInvalidArgument("bad token"), want: false},
	} {
		t.Run(name, func(t *testing.T) {
			err := completerOf(saidClient{err: c.err}).Complete(t.Context(), c.target, c.outcome)
			if errors.Is(err, ErrCancelNotRequested) != c.want || !errors.Is(err, ErrRefused) || !is[*serviceerror.InvalidArgument](err) {
				t.Errorf("got %v, want ErrCancelNotRequested: %v, and the cause", err, c.want)
			}
		})
	}
}
