package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// clean makes text safe for a terminal. Characters that move the cursor or
// change the direction of text become their codes.
func clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || unicode.IsPrint(r) && !unicode.Is(unicode.Bidi_Control, r):
			b.WriteRune(r)
		default:
			_, _ = fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// word returns clean text on one line.
func word(s string) string { return strings.ReplaceAll(clean(s), "\n", "\\n") }

// entry has the fields of an entry that tables show.
type entry struct {
	ID           string            `json:"id"`
	Round        string            `json:"round"`
	State        string            `json:"state"`
	Class        string            `json:"class"`
	Attention    string            `json:"attention"`
	Namespace    string            `json:"namespace"`
	WorkflowID   string            `json:"workflowId"`
	ActivityID   string            `json:"activityId"`
	ActivityType string            `json:"activityType"`
	Key          string            `json:"key"`
	Labels       map[string]string `json:"labels"`
	Outcome      string            `json:"outcome"`
	End          string            `json:"end"`
	Deliveries   int               `json:"deliveries"`
	Since        time.Time         `json:"since"`
	Journal      []struct {
		At   time.Time       `json:"at"`
		Kind string          `json:"kind"`
		By   string          `json:"by"`
		Data json.RawMessage `json:"data"`
	} `json:"journal"`
	Actions []string `json:"actions"`
	Links   []struct{ Title, URL string }
}

// happens describes the state of an entry in a word or two.
func (e entry) happens() string {
	parts := []string{e.State}
	for _, p := range []string{e.Outcome, e.End, e.Class} {
		if p != "" && !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	if e.Deliveries > 1 {
		parts = append(parts, fmt.Sprintf("%d tries", e.Deliveries))
	}
	return strings.Join(parts, ", ")
}

// subject names an entry's activity.
func (e entry) subject() string {
	return cmp(e.WorkflowID, cmp(e.ActivityID, "key "+e.Key))
}

// table writes rows in columns.
func table(w io.Writer, head []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if head != nil {
		_, _ = fmt.Fprintln(t, strings.Join(head, "\t"))
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = word(cell)
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// ago describes how long ago a time was.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := now.Sub(t); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d/time.Second)))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d/time.Hour))
	default:
		return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
	}
}

// rowsOf returns entries as rows of a table.
func rowsOf(entries []entry, now time.Time) (rows [][]string) {
	for _, e := range entries {
		rows = append(rows, []string{e.ID, e.happens(), cmp(e.ActivityType, "-"), e.subject(), ago(e.Since, now)})
	}
	return rows
}

var entryHead = []string{"ID", "STATE", "ACTIVITY", "WORKFLOW", "FOR"}
