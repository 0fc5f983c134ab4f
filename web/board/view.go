package board

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// entryView is an entry as pages and JSON show it. An entryView contains no
// task token, no outcome and no callback ID.
type entryView struct {
	ID        string `json:"id" jsonschema:"of the entry: nothing can be answered with it"`
	Round     string `json:"round" jsonschema:"changes when the activity asks again"`
	State     string `json:"state" jsonschema:"waiting, settled or ended"`
	Class     string `json:"class,omitempty" jsonschema:"what goes wrong, if something does"`
	Attention string `json:"attention,omitempty" jsonschema:"for people: what goes wrong, and what to do"`

	Namespace     string `json:"namespace,omitempty"`
	WorkflowID    string `json:"workflowId,omitempty"`
	WorkflowType  string `json:"workflowType,omitempty"`
	RunID         string `json:"runId,omitempty"`
	ActivityID    string `json:"activityId,omitempty"`
	ActivityType  string `json:"activityType,omitempty"`
	ActivityRunID string `json:"activityRunId,omitempty" jsonschema:"of a standalone activity"`
	TaskQueue     string `json:"taskQueue,omitempty"`
	Attempt       int32  `json:"attempt,omitempty"`
	ResultType    string `json:"resultType,omitempty" jsonschema:"that is awaited"`

	Key       string            `json:"key,omitempty"`
	Reference string            `json:"reference,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Signals   []string          `json:"signals,omitempty" jsonschema:"cancel-requested, paused or reset"`
	Early     bool              `json:"early,omitempty" jsonschema:"answered by key, and its activity has not come"`

	Outcome   string `json:"outcome,omitempty" jsonschema:"result, failure or cancellation: never its content"`
	Delivered bool   `json:"delivered,omitempty"`
	End       string `json:"end,omitempty" jsonschema:"delivered, expired, unknown, abandoned or over"`
	Evidence  string `json:"evidence,omitempty" jsonschema:"for people: how the end is known"`

	Pump             string   `json:"pump,omitempty"`
	HeartbeatTimeout string   `json:"heartbeatTimeout,omitempty"`
	HeartbeatTries   int      `json:"heartbeatTries,omitempty" jsonschema:"failed heartbeats since the last one that succeeded"`
	Deliveries       int      `json:"deliveries,omitempty" jsonschema:"tries to deliver the outcome"`
	LastError        string   `json:"lastError,omitempty" jsonschema:"the class of the last try's error"`
	Hooks            []string `json:"hooks,omitempty" jsonschema:"that have not returned nil yet"`
	HookTries        int      `json:"hookTries,omitempty"`

	Scheduled    *time.Time `json:"scheduled,omitempty"`
	Created      *time.Time `json:"created,omitempty"`
	Started      *time.Time `json:"started,omitempty" jsonschema:"of the attempt"`
	Deadline     *time.Time `json:"deadline,omitempty" jsonschema:"of the attempt"`
	Settled      *time.Time `json:"settled,omitempty"`
	Ended        *time.Time `json:"ended,omitempty"`
	Since        *time.Time `json:"since,omitempty" jsonschema:"when the entry came into its state"`
	Late         *time.Time `json:"late,omitempty" jsonschema:"since when the entry needs a hub"`
	Due          *time.Time `json:"due,omitempty" jsonschema:"when a hub takes the entry next"`
	LastBeat     *time.Time `json:"lastHeartbeat,omitempty"`
	NextBeat     *time.Time `json:"nextHeartbeat,omitempty"`
	NextDelivery *time.Time `json:"nextDelivery,omitempty"`
	NextHook     *time.Time `json:"nextHook,omitempty"`

	Journal []noteView      `json:"journal,omitempty" jsonschema:"of the round, oldest first; in the view of one entry"`
	Actions []string        `json:"actions,omitempty" jsonschema:"that the caller may perform now; in the view of one entry"`
	Schema  json.RawMessage `json:"resultSchema,omitempty" jsonschema:"JSON Schema of the result type; in the view of one entry"`
	Bulk    bool            `json:"-"` // a bulk action would change the entry
	Links   []link          `json:"links,omitempty" jsonschema:"to Temporal's UI; in the view of one entry"`
}

// noteView is a note of the journal.
type noteView struct {
	At   time.Time       `json:"at"`
	Kind string          `json:"kind"`
	By   string          `json:"by,omitempty"`
	Data json.RawMessage `json:"data,omitempty" jsonschema:"of the kinds that the board may show"`
	Text string          `json:"-"`
}

type link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// roundOf returns a name for the round of a callback. The name authorizes
// nothing.
func roundOf(c async.Callback) string {
	sum := sha256.Sum256([]byte("latchkey board round\x00" + c.ID()))
	return hex.EncodeToString(sum[:6])
}

// viewOf returns the view of an entry.
func viewOf(c async.Callback, now time.Time) entryView {
	i := c.Info()
	v := entryView{
		ID: i.ID, Round: roundOf(c), State: stateName(i.State), Class: classOf(i), Attention: attention(i, now),
		Namespace: i.Namespace, WorkflowID: i.WorkflowID, WorkflowType: i.WorkflowType, RunID: i.RunID,
		ActivityID: i.ActivityID, ActivityType: i.ActivityType, ActivityRunID: i.ActivityRunID,
		TaskQueue: i.TaskQueue, Attempt: i.Attempt, ResultType: i.ResultType,
		Key: i.Key, Reference: i.Reference, Labels: i.Labels, Signals: signalsOf(i), Early: i.Early,
		Outcome: i.Outcome, Delivered: i.Delivered,
		Pump: i.Pump, HeartbeatTries: i.HeartbeatTries, Deliveries: i.Deliveries, LastError: i.LastError, Hooks: i.Hooks, HookTries: i.HookTries,
		Scheduled: when(i.Scheduled), Created: when(i.Created), Started: when(i.Started), Deadline: when(i.Deadline),
		Settled: when(i.Settled), Ended: when(i.Ended), Since: when(i.Since), Late: when(i.Late), Due: when(i.Due),
		LastBeat: when(i.LastBeat), NextBeat: when(i.NextBeat), NextDelivery: when(i.NextDelivery), NextHook: when(i.NextHook),
	}
	if i.HeartbeatTimeout > 0 {
		v.HeartbeatTimeout = i.HeartbeatTimeout.String()
	}
	v.End, v.Evidence = evidence(i)
	return v
}

// stateName returns the board's name of a state, which is also a value of the
// parameter state.
func stateName(s async.State) string {
	if s == async.Closed {
		return "ended"
	}
	return s.String()
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

func signalsOf(i async.Info) (list []string) {
	for _, s := range []struct {
		stands bool
		name   string
	}{{i.CancelRequested, "cancel-requested"}, {i.Paused, "paused"}, {i.Reset, "reset"}} {
		if s.stands {
			list = append(list, s.name)
		}
	}
	return list
}

// classOf returns the class of an entry's trouble, or "".
func classOf(i async.Info) string { return i.Class }

// The number of failed tries after which an entry needs attention.
const (
	manyTries  = 3
	longSettle = time.Minute
)

// attention describes the trouble of an entry and what to do. attention returns
// "" if the entry has no trouble, and while hubs have only begun to retry.
func attention(i async.Info, now time.Time) string {
	switch class := i.Class; {
	case class == "":
		return ""
	case class == "refused":
		return "Temporal refuses the outcome. Check the permissions, the namespace and the client of the hubs, then retry."
	case class == "hook":
		if i.HookTries < manyTries {
			return ""
		}
		return fmt.Sprintf("The hook %s has failed %d times. Correct the cause, then retry.", strings.Join(i.Hooks, ", "), i.HookTries)
	case class == "heartbeat":
		if i.HeartbeatTries < manyTries {
			return ""
		}
		return fmt.Sprintf("%d heartbeats have failed. If they go on failing, Temporal times the attempt out.", i.HeartbeatTries)
	case class == "late":
		return fmt.Sprintf("No hub has worked on the entry for %s. Start a hub%s.", span(now.Sub(i.Late)), hubFor(i))
	case i.State == async.Settled && (i.Deliveries >= manyTries || now.Sub(i.Settled) >= longSettle):
		return fmt.Sprintf("Temporal does not have the outcome after %s and %s (%s). Hubs go on trying.", span(now.Sub(i.Settled)), triesText(i.Deliveries), class)
	}
	return ""
}

// hubFor describes the hub that a late entry needs.
func hubFor(i async.Info) string {
	switch {
	case i.State == async.Waiting && i.Pump != "":
		return fmt.Sprintf(" that knows the pump %q", i.Pump)
	case i.Early || i.State == async.Closed: // hubs expire and remove it without a call of Temporal
		return " with a completer"
	default:
		return fmt.Sprintf(" with a completer that reaches the namespace %q", i.Namespace)
	}
}

func triesText(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// evidence returns how the activity ended, and how the hub knows this.
func evidence(i async.Info) (end, text string) {
	if i.State != async.Closed {
		return "", ""
	}
	switch {
	case i.Delivered || i.End == nil:
		return "delivered", "Temporal has the outcome. It confirmed the delivery, or the mark of this outcome is in its history."
	case errors.Is(i.End, async.ErrExpired) && i.Early:
		return "expired", "No activity with the business key came in time. The early result was dropped."
	case errors.Is(i.End, async.ErrExpired):
		return "expired", "Temporal's history says that the activity timed out."
	case errors.Is(i.End, async.ErrUnknownEnd):
		return "unknown", "Temporal no longer keeps the history, so how the activity ended is not known. The outcome may have reached it."
	case errors.Is(i.End, async.ErrAbandoned):
		return "abandoned", "An operator abandoned the entry. Temporal was not called."
	case errors.Is(i.End, completer.ErrOver):
		return "over", "Temporal's history says that the activity ended in another way: it was cancelled or terminated, or something other than Latchkey completed it."
	default:
		return "over", "The activity is over without this outcome."
	}
}

// journal returns the notes of the round, with the data of only some kinds.
func (b *Board) journal(c async.Callback) (list []noteView) {
	for _, n := range c.Notes() {
		v := noteView{At: n.At.UTC(), Kind: n.Kind, By: n.By}
		if slices.Contains(b.noteKinds, n.Kind) && len(n.Data) > 0 {
			v.Data, v.Text = n.Data, string(n.Data)
			var o operatorNote
			if n.Kind == noteKind && json.Unmarshal(n.Data, &o) == nil && o.Action != "" {
				v.Text = o.Action + ": " + o.Why
			}
		}
		list = append(list, v)
	}
	return list
}

// links returns the entry's links to Temporal's UI.
func (b *Board) links(i async.Info) (list []link) {
	if b.temporal == nil || i.Namespace == "" {
		return nil
	}
	at := func(parts ...string) string {
		var address strings.Builder
		address.WriteString(strings.TrimRight(b.temporal.String(), "/"))
		for _, p := range parts {
			if p != "" {
				address.WriteString("/" + url.PathEscape(p))
			}
		}
		return address.String()
	}
	switch {
	case i.WorkflowID != "":
		return []link{{"Workflow in Temporal", at("namespaces", i.Namespace, "workflows", i.WorkflowID, i.RunID, "history")}}
	case i.ActivityID != "":
		return []link{{"Activity in Temporal", at("namespaces", i.Namespace, "activities", i.ActivityID, i.ActivityRunID, "details")}}
	}
	return nil
}

// span describes a duration for people.
func span(d time.Duration) string {
	switch d = d.Abs(); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d/time.Hour), int(d%time.Hour/time.Minute))
	default:
		return fmt.Sprintf("%d d", int(d/(24*time.Hour)))
	}
}

// ago describes a time for people, relative to now.
func ago(t, now time.Time) string {
	if t.After(now) {
		return "in " + span(t.Sub(now))
	}
	return span(now.Sub(t)) + " ago"
}

// Name returns the name of an entry in a row.
func (v entryView) Name() string {
	return cmp.Or(v.ActivityType, "an early result")
}
