package async

import (
	"context"
	"errors"
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
		for range 100 { // while the first is out: they share the next
			look(run{"a", "w", "1"})
		}
		look(run{"a", "w", "2"}) // another run doesn't wait
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
