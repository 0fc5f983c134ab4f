package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// addresses are the addresses of the lists.
var addresses = map[string][]string{"attention": nil, "waiting": {"waiting"}, "settled": {"settled"}, "ended": {"ended"}, "all": {"all"}}

// page is a page of a list.
type page struct {
	Entries []entry `json:"entries"`
	Next    string  `json:"next"`
	Looked  int     `json:"looked"`
	Skipped int     `json:"skipped"`
	Ordered bool    `json:"ordered"`
}

// list returns the address and the parameters of the requested list.
func (c *call) list() (parts []string, query url.Values, err error) {
	name := "attention"
	if len(c.args) > 1 {
		name = c.args[1]
	}
	parts, ok := addresses[name]
	if !ok {
		return nil, nil, usage("there is no list %q: it must be attention, waiting, settled, ended or all", clean(name))
	}
	query = url.Values{}
	for parameter, v := range map[string]string{
		"type": c.typ, "namespace": c.namespace, "workflow": c.workflow, "result": c.result, "key": c.key, "class": c.class, "age": c.age, "state": c.state, "after": c.after,
	} {
		if v != "" {
			query.Set(parameter, v)
		}
	}
	for _, l := range c.labels {
		query.Add("label", l)
	}
	if c.limit != 0 {
		query.Set("limit", strconv.Itoa(c.limit))
	}
	return parts, query, nil
}

// page reads a page of a list. page also returns the board's document.
func (c *call) page(ctx context.Context, query url.Values, parts []string) (p page, b []byte, err error) {
	if b, err = c.get(ctx, query, parts...); err != nil {
		return page{}, nil, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return page{}, nil, fmt.Errorf("the board's list can't be read: %w", err)
	}
	return p, b, nil
}

func runList(ctx context.Context, c *call) error {
	parts, query, err := c.list()
	if err != nil {
		return err
	}
	var rows [][]string
	skipped, next := 0, ""
	for {
		p, b, err := c.page(ctx, query, parts)
		if err != nil {
			return err
		}
		skipped, next = skipped+p.Skipped, p.Next
		switch {
		case c.quiet:
			for _, e := range p.Entries {
				_, _ = fmt.Fprintln(c.out, word(e.ID))
			}
		case c.settings.json:
			if err := c.printJSON(b); err != nil {
				return err
			}
		default:
			rows = append(rows, rowsOf(p.Entries, time.Now())...)
		}
		if next == "" || !c.all {
			break
		}
		query.Set("after", next)
	}
	if !c.quiet && !c.settings.json {
		if err := table(c.out, entryHead, rows); err != nil {
			return err
		}
	}
	if skipped > 0 {
		_, _ = fmt.Fprintf(c.err, "latchkey: %d entries could not be read: they are damaged, or a newer release wrote them\n", skipped)
	}
	if next != "" && !c.settings.json {
		_, _ = fmt.Fprintf(c.err, "latchkey: there may be more: -after %s, or -all\n", word(next))
	}
	return nil
}

// printJSON writes a document, indented if the output is a terminal.
func (c *call) printJSON(b []byte) error {
	if c.terminal {
		var out bytes.Buffer
		if err := json.Indent(&out, b, "", "  "); err == nil {
			b = []byte(clean(out.String()))
		}
	}
	_, err := fmt.Fprintf(c.out, "%s\n", bytes.TrimSpace(b))
	return err
}

// id returns the argument that names an entry. Errors do not repeat this
// argument, because it may be a callback ID.
func id(arg string) (string, error) {
	if arg == "" || len(arg) > 100 || strings.ContainsAny(arg, "/?#") || arg == "." || arg == ".." {
		return "", usage("the argument must be the ID of an entry: list prints them")
	}
	return arg, nil
}

func runShow(ctx context.Context, c *call) error {
	id, err := id(c.args[1])
	if err != nil {
		return err
	}
	b, err := c.get(ctx, nil, "entries", id)
	if err != nil {
		return err
	}
	if c.settings.json {
		return c.printJSON(b)
	}
	return c.printEntry(b)
}

// facts are the fields of an entry in the order in which show prints them.
// Other fields follow, so that the fields of a newer board are printed too.
var facts = []string{
	"id", "state", "class", "attention", "evidence", "end", "outcome", "delivered", "namespace", "workflowId", "workflowType", "runId", "activityId", "activityType",
	"activityRunId", "taskQueue", "attempt", "resultType", "key", "reference", "labels", "signals", "deliveries", "lastError", "pump", "heartbeatTimeout", "heartbeatTries",
	"hooks", "hookTries", "scheduled", "created", "started", "deadline", "settled", "nextDelivery", "lastHeartbeat", "nextHeartbeat", "nextHook", "late", "due", "ended", "since",
	"round", "actions",
}

func (c *call) printEntry(b []byte) error {
	var fields map[string]json.RawMessage
	var e entry
	if json.Unmarshal(b, &fields) != nil || json.Unmarshal(b, &e) != nil {
		return fmt.Errorf("the board's entry can't be read")
	}
	names := slices.Clone(facts)
	var others []string
	for name := range fields {
		if !slices.Contains(facts, name) && !slices.Contains([]string{"journal", "links", "resultSchema"}, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	var rows [][]string
	for _, name := range append(names, others...) {
		if raw, ok := fields[name]; ok {
			rows = append(rows, []string{name, plain(raw)})
		}
	}
	for _, l := range e.Links {
		rows = append(rows, []string{"link", l.URL})
	}
	if err := table(c.out, nil, rows); err != nil {
		return err
	}
	if len(e.Journal) > 0 {
		_, _ = fmt.Fprintln(c.out, "\njournal")
		rows = nil
		for _, n := range e.Journal {
			rows = append(rows, []string{"  " + n.At.Format(time.RFC3339), n.Kind, cmp(n.By, "-"), string(n.Data)})
		}
		return table(c.out, nil, rows)
	}
	return nil
}

// plain returns a JSON value as text: strings without quotes, lists with commas.
func plain(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	switch v := v.(type) {
	case string:
		return v
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			texts[i] = fmt.Sprint(item)
		}
		return strings.Join(texts, ", ")
	case map[string]any:
		var texts []string
		for name, item := range v {
			texts = append(texts, fmt.Sprintf("%s=%v", name, item))
		}
		slices.Sort(texts)
		return strings.Join(texts, ", ")
	default:
		return string(raw)
	}
}

func runStats(ctx context.Context, c *call) error {
	b, err := c.get(ctx, nil, "counts")
	if err != nil {
		return err
	}
	if c.settings.json {
		return c.printJSON(b)
	}
	var s struct {
		At         time.Time
		Took       string
		Unreadable int
		Groups     []struct {
			State, ActivityType, Class string
			Entries                    int
			Oldest                     time.Time
		}
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("the board's counts can't be read: %w", err)
	}
	var rows [][]string
	for _, g := range s.Groups {
		rows = append(rows, []string{g.State, cmp(g.ActivityType, "-"), cmp(g.Class, "-"), strconv.Itoa(g.Entries), ago(g.Oldest, time.Now())})
	}
	if s.Unreadable > 0 {
		rows = append(rows, []string{"unreadable", "-", "-", strconv.Itoa(s.Unreadable), "-"})
	}
	if err := table(c.out, []string{"STATE", "ACTIVITY", "CLASS", "ENTRIES", "OLDEST"}, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "snapshot of %s, took %s\n", s.At.Format(time.RFC3339), word(s.Took))
	return err
}

// readAll reads a file for complete and the bulk actions.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = usage("the input must be at most %d bytes", limit)
	}
	return b, err
}
