package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const maxResponse = 64 << 20

// problem is an RFC 9457 problem document of the board.
type problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

func (p *problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	if p.Code != "" {
		b.WriteString(" (" + p.Code + ")")
	}
	for _, e := range p.Errors {
		b.WriteString("\n  " + cmp(e.Pointer, "the whole") + " " + e.Detail)
	}
	return b.String()
}

// failed is an error whose text has been printed.
type failed struct{ code int }

func (f *failed) Error() string { return "" }

// codeOf returns the exit code of an error.
func codeOf(err error) int {
	var f *failed
	var p *problem
	switch {
	case errors.As(err, &f):
		return f.code
	case errors.As(err, &p):
		return codeOfStatus(p.Status)
	default:
		return exitUnavailable
	}
}

func codeOfStatus(status int) int {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return exitForbidden
	case status == http.StatusNotFound:
		return exitNotFound
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return exitUnavailable
	case status >= 400 && status < 500, status == http.StatusNotImplemented:
		return exitRefused
	default:
		return exitUnavailable
	}
}

// codeOfLine returns the exit code for the code in a result of a bulk action.
func codeOfLine(code string) int {
	switch code {
	case "sign-in", "forbidden", "nameless", "origin":
		return exitForbidden
	case "not-found":
		return exitNotFound
	case "unavailable", "audit", "unreadable", "slow-body":
		return exitUnavailable
	default:
		return exitRefused
	}
}

// get reads a page of the board.
func (c *call) get(ctx context.Context, query url.Values, parts ...string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, c.settings.address(query, parts...), nil)
}

// post performs an action.
func (c *call) post(ctx context.Context, body any, parts ...string) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, c.settings.address(nil, parts...), b)
}

func (c *call) do(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.settings.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, usage("the address can't be used: %v", err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "latchkey")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.settings.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.settings.token)
	}
	client := http.Client{Transport: c.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the board can't be reached: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return nil, fmt.Errorf("the board's response did not arrive: %w", err)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode == http.StatusOK && media == "application/json":
		return b, nil
	case media == "application/problem+json":
		p := new(problem)
		if err := json.Unmarshal(b, p); err != nil {
			return nil, fmt.Errorf("the board answered %s with a body that can't be read", resp.Status)
		}
		return nil, p
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, &problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("the address redirects (%s): set -url to the board's own address", resp.Status)}
	default:
		return nil, &problem{Status: max(resp.StatusCode, 400), Detail: fmt.Sprintf("the address answered %s, and not as a board does: check -url", resp.Status)}
	}
}
