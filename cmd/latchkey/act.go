package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const (
	maxResult = 8 << 20
	maxBulk   = 100 // the maximum number of rows that the board accepts at once
)

// line is the result of an action for one entry.
type line struct {
	ID     string `json:"id"`
	OK     bool   `json:"ok"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	State  string `json:"state,omitempty"`
}

func (c *call) needWhy() error {
	if strings.TrimSpace(c.why) == "" {
		return usage("%s needs a reason: -why", c.args[0])
	}
	return nil
}

// runBulk retries or abandons entries, in batches that the board accepts.
func runBulk(ctx context.Context, c *call) error {
	if err := c.needWhy(); err != nil {
		return err
	}
	ids := c.args[1:]
	if slices.Equal(ids, []string{"-"}) {
		b, err := readAll(c.in, maxResult)
		if err != nil {
			return err
		}
		ids = strings.Fields(string(b))
	}
	for _, arg := range ids {
		if _, err := id(arg); err != nil {
			return err
		}
	}
	var first *failed
	sent := 0 // IDs in earlier batches
	for chunk := range slices.Chunk(ids, maxBulk) {
		rows := make([]map[string]string, len(chunk))
		for i, id := range chunk {
			rows[i] = map[string]string{"id": id}
		}
		b, err := c.post(ctx, map[string]any{"action": c.args[0], "why": c.why, "rows": rows}, "bulk")
		if err != nil {
			return err
		}
		var r struct{ Results []line }
		if err := json.Unmarshal(b, &r); err != nil || len(r.Results) != len(chunk) {
			return fmt.Errorf("the board's results can't be read; the actions may have been performed, and may be repeated")
		}
		if c.settings.json {
			if err := c.printJSON(b); err != nil {
				return err
			}
		}
		for n, l := range r.Results {
			if !c.settings.json {
				if l.ID == "?" { // the board does not repeat what may be a secret
					l.ID = fmt.Sprintf("ID number %d", sent+n+1)
				}
				c.printLine(l)
			}
			if !l.OK && first == nil {
				first = &failed{codeOfLine(l.Code)}
			}
		}
		sent += len(chunk)
	}
	if first != nil {
		return first
	}
	return nil
}

func (c *call) printLine(l line) {
	if !l.OK {
		_, _ = fmt.Fprintf(c.err, "latchkey: %s: %s (%s)\n", word(l.ID), word(l.Detail), word(l.Code))
		return
	}
	_, _ = fmt.Fprintf(c.out, "%s  %s  %s\n", word(l.ID), word(cmp(l.State, "done")), word(l.Detail))
}

// answer sends an answer for one entry.
func (c *call) answer(ctx context.Context, body map[string]any) error {
	if err := c.needWhy(); err != nil {
		return err
	}
	id, err := id(c.args[1])
	if err != nil {
		return err
	}
	body["why"] = c.why
	if c.round != "" {
		body["round"] = c.round
	}
	b, err := c.post(ctx, body, "entries", id, c.args[0])
	if err != nil {
		return err
	}
	if c.settings.json {
		return c.printJSON(b)
	}
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("the board's response can't be read; the answer was accepted")
	}
	c.printLine(l)
	return nil
}

func runComplete(ctx context.Context, c *call) error {
	if c.file == "" {
		return usage("complete needs a result: -f FILE, or -f - for standard input")
	}
	in := c.in
	if c.file != "-" {
		f, err := os.Open(c.file)
		if err != nil {
			return usage("the result can't be read: %v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	result, err := readAll(in, maxResult)
	if err != nil {
		return err
	}
	result = bytes.TrimSpace(result)
	if !json.Valid(result) {
		return usage("the result must be JSON")
	}
	return c.answer(ctx, map[string]any{"result": json.RawMessage(result)})
}

func runFail(ctx context.Context, c *call) error {
	if strings.TrimSpace(c.message) == "" {
		return usage("%s needs a message for the workflow: -message", c.args[0])
	}
	body := map[string]any{"message": c.message}
	if c.kind != "" {
		body["type"] = c.kind
	}
	return c.answer(ctx, body)
}

func runCompletion(_ context.Context, c *call) error {
	script, ok := completions()[c.args[1]]
	if !ok {
		return usage("completion is for bash, zsh or fish, got %q", clean(c.args[1]))
	}
	_, err := io.WriteString(c.out, script())
	return err
}
