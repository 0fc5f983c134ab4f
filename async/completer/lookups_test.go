package completer

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/workflowservice/v1"
)

func TestLookupsShareOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		var mu sync.Mutex
		put := 0
		ask := func(ctx context.Context) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
			mu.Lock()
			put++
			mu.Unlock()
			time.Sleep(time.Second)
			return new(workflowservice.DescribeWorkflowExecutionResponse), ctx.Err()
		}
		var wg sync.WaitGroup
		look := func(r run) {
			wg.Go(func() {
				begin := time.Now()
				if a, err := l.describe(t.Context(), r, ask); err != nil || a == nil {
					t.Errorf("looked up %v, %v", a, err)
				}
				if took := time.Since(begin); took < time.Second {
					t.Errorf("got an answer after %v, to a question that was put before", took)
				}
			})
		}
		look(run{"a", "w", "1"})
		synctest.Wait()
		for range 100 { // the callers come during the first call, and share the next one
			look(run{"a", "w", "1"})
		}
		look(run{"a", "w", "2"}) // a question about another run does not wait
		wg.Wait()
		if put != 3 {
			t.Errorf("%d questions were put, want 3", put)
		}
		if len(l.runs) != 0 {
			t.Errorf("%d runs are remembered", len(l.runs))
		}
	})
}

func TestLookupOfACallerThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		ask := func(ctx context.Context) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Minute):
				return new(workflowservice.DescribeWorkflowExecutionResponse), nil
			}
		}
		r := run{"a", "w", "1"}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := l.describe(short, r, ask); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the caller got %v", err)
				}
			})
		}
		wg.Wait()
		if _, err := l.describe(t.Context(), r, ask); err != nil {
			t.Errorf("the one after got %v", err)
		}
		if len(l.runs) != 0 {
			t.Errorf("%d runs are remembered", len(l.runs))
		}
	})
}

// With SharedSince, callers also share the answer to a question that was sent
// before their own call.
func TestLookupsShareAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		put := 0
		fails := errors.New("away")
		ask := func(context.Context) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
			put++
			time.Sleep(time.Second)
			if put == 4 {
				return nil, fails
			}
			return new(workflowservice.DescribeWorkflowExecutionResponse), nil
		}
		due := time.Now()
		look := func(r run, from time.Time) error {
			_, err := l.describe(SharedSince(t.Context(), from), r, ask)
			return err
		}
		want := func(what string, n int) {
			t.Helper()
			if put != n {
				t.Errorf("%s: %d questions were put, want %d", what, put, n)
			}
		}
		r := run{"a", "w", "1"}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _ = look(r, due) })
		}
		wg.Wait()
		want("100 at once", 1)
		time.Sleep(5 * time.Second)
		_ = look(r, due)
		want("a moment later", 1)
		_ = look(r, due.Add(time.Minute))
		want("due later than the answer", 2)
		time.Sleep(keptFor + time.Second)
		_ = look(r, due)
		want("long after", 3)
		other := run{"a", "w", "2"}
		if err := look(other, due); !errors.Is(err, fails) {
			t.Errorf("got %v, want the error", err)
		}
		_ = look(other, due)
		want("after an error", 5)
		if _, err := l.describe(t.Context(), r, ask); err != nil || put != 6 {
			t.Errorf("without since: %v, %d questions, want a question of its own", err, put)
		}
		for n := range 3 * keptAnswers {
			_ = look(run{"a", "w", strconv.Itoa(n + 3)}, due)
		}
		if len(l.runs) != 0 {
			t.Errorf("%d runs are remembered", len(l.runs))
		}
	})
}
