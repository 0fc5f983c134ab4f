package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrNotFound means that the runner knows no such job.
var ErrNotFound = errors.New("jobs: no such job")

// Client calls a runner. Any goroutine may call the methods of a Client.
type Client struct {
	base string
	http http.Client
}

// NewClient returns a client of the runner at the URL.
func NewClient(base string) *Client {
	return &Client{base: base, http: http.Client{Timeout: 5 * time.Second}}
}

// Start starts a job. The runner starts one job per key, so a call with an unknown
// outcome may be repeated.
func (c *Client) Start(ctx context.Context, key string, o Order) (j Job, err error) {
	err = c.do(ctx, http.MethodPost, "/jobs", key, o, &j)
	return j, err
}

// Get returns the state of a job.
func (c *Client) Get(ctx context.Context, id string) (j Job, err error) {
	err = c.do(ctx, http.MethodGet, "/jobs/"+id, "", nil, &j)
	return j, err
}

// Stop stops a job, and returns its state.
func (c *Client) Stop(ctx context.Context, id string) (j Job, err error) {
	err = c.do(ctx, http.MethodDelete, "/jobs/"+id, "", nil, &j)
	return j, err
}

// Crash makes the runner lose a job.
func (c *Client) Crash(ctx context.Context, id string) (j Job, err error) {
	err = c.do(ctx, http.MethodPost, "/jobs/"+id+"/crash", "", nil, &j)
	return j, err
}

// All returns all jobs, in the order of their start.
func (c *Client) All(ctx context.Context) (all []Job, err error) {
	err = c.do(ctx, http.MethodGet, "/jobs", "", nil, &all)
	return all, err
}

func (c *Client) do(ctx context.Context, method, path, key string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return ErrNotFound
	case answer.StatusCode >= 300:
		return fmt.Errorf("jobs: %s %s: %s", method, path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
