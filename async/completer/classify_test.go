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

// classes are the classes of a completer's errors, or "try again".
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
		"namespace not found":  {serviceerror.NewNamespaceNotFound("default"), ErrRefused, is[*serviceerror.NamespaceNotFound]},
		"not found":            {serviceerror.NewNotFound("activity"), ErrOver, is[*serviceerror.NotFound]},
		"not found, wrapped":   {fmt.Errorf("client: %w", serviceerror.NewNotFound("activity")), ErrOver, is[*serviceerror.NotFound]},
		"failed precondition":  {serviceerror.NewFailedPrecondition("over"), ErrOver, is[*serviceerror.FailedPrecondition]},
		"namespace not active": {serviceerror.NewNamespaceNotActive("default", "a", "b"), nil, is[*serviceerror.NamespaceNotActive]}, // shares the gRPC code of other errors
		"invalid argument":     {serviceerror.NewInvalidArgument("what"), ErrRefused, is[*serviceerror.InvalidArgument]},
		"permission denied":    {serviceerror.NewPermissionDenied("no", "role"), ErrRefused, is[*serviceerror.PermissionDenied]},
		"unimplemented":        {serviceerror.NewUnimplemented("what"), ErrRefused, is[*serviceerror.Unimplemented]},
		"unavailable":          {serviceerror.NewUnavailable("away"), nil, is[*serviceerror.Unavailable]},
		"resource exhausted":   {exhausted, nil, is[*serviceerror.ResourceExhausted]},
		"deadline exceeded":    {serviceerror.NewDeadlineExceeded("late"), nil, is[*serviceerror.DeadlineExceeded]},
		"canceled":             {serviceerror.NewCanceled("gone"), nil, is[*serviceerror.Canceled]},
		"internal":             {serviceerror.NewInternal("oops"), nil, is[*serviceerror.Internal]},
		"context's deadline":   {context.DeadlineExceeded, nil, nil},
		"context's end":        {fmt.Errorf("dial: %w", context.Canceled), nil, nil},
		"unknown":              {errors.New("what"), nil, nil},
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
		"by token":           {saidTarget, canceled, unrequested, true},
		"by ID":              {saidTarget.ByID(), canceled, unrequested, true},
		"standalone":         {activity.ByID(), canceled, unrequested, true},
		"a result":           {saidTarget, Outcome{Result: new(commonpb.Payloads), Mark: "r1"}, unrequested, false},
		"a failure":          {saidTarget, Outcome{Failure: new(failurepb.Failure), Mark: "f1"}, unrequested, false},
		"for another reason": {saidTarget, canceled, serviceerror.NewInvalidArgument("bad token"), false},
	} {
		t.Run(name, func(t *testing.T) {
			err := completerOf(saidClient{err: c.err}).Complete(t.Context(), c.target, c.outcome)
			if errors.Is(err, ErrCancelNotRequested) != c.want || !errors.Is(err, ErrRefused) || !is[*serviceerror.InvalidArgument](err) {
				t.Errorf("got %v, want ErrCancelNotRequested: %v, and the cause", err, c.want)
			}
		})
	}
}
